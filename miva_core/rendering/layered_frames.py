"""Frames of a picture whose layers move by displacements: ground, regions that stay, cut-outs over them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .compositing import FAR
from .layered_motion import Carried
from .layered_staging import LayeredStaging, Places, box_in_view, region_of
from .regions import RegionBehind
from .sampling import Placement, Region, in_rows, sample, sample_at, without_fine_detail
from .soft_bend import Bent, SoftBend
from .sprite import Sprite


@dataclass(frozen=True, eq=False)
class GroundLayers:
    """What is behind all that moves by itself.

    Attributes:
        picture: (h, w, 3) float32, with everything.
        plate: likewise, without cut-outs and what stands in front; the picture itself where there are none.
        uncovered: the plate without the rims of near things; None where depth moves nothing.
        from_view: (3, 3) from places of the view to pixels of all three.
        first: (H, W, 3) frame 1, where the camera never moves; None where it does.
    """

    picture: np.ndarray
    plate: np.ndarray
    uncovered: np.ndarray | None
    from_view: np.ndarray
    first: np.ndarray | None

    def seen(self, places: Places) -> np.ndarray:
        """A frame (H, W, 3) of the picture as it is, with what comes into view behind near things."""
        if self.first is not None:
            return self.first.copy()
        return self._uncovering(self.picture, places, places.whole)

    def without(self, places: Places, region: Region) -> np.ndarray:
        """Likewise a region (h, w, 3) of a frame of the plate."""
        return self._uncovering(self.plate, places, region)

    def _uncovering(self, layer: np.ndarray, places: Places, region: Region) -> np.ndarray:
        """A region (h, w, 3) of a frame of one of the three, with what comes into view behind near things."""
        seen = seen_at(layer, self.from_view, places, region, cv2.BORDER_REFLECT_101)
        if self.uncovered is None or places.depth is None:
            return seen
        both = region.common(places.depth.region)
        if both.width and both.height:
            at, opacity = (both.off(places.depth.region).of(of) for of in (places.depth.behind, places.depth.uncovered))
            self._uncover(both.off(region).of(seen), at, opacity, places.shrunk)
        return seen

    def _uncover(self, part: np.ndarray, at: np.ndarray, opacity: np.ndarray, shrunk: float) -> None:
        """Put what is behind near things, from places (h, w, 2), on a part (h, w, 3) of a frame, in place."""
        there = opacity > 0
        if self.uncovered is None or not there.any():
            return
        rows = _sampled(self.uncovered, self.from_view, in_rows(at[there]), shrunk, cv2.BORDER_REFLECT_101)
        covered = part[there]
        part[there] = covered + (rows.reshape(-1, 3)[: len(covered)] - covered) * opacity[there][:, None]


@dataclass(frozen=True, eq=False)
class CarriedLayer:
    """A cut-out.

    Attributes:
        motion: of it.
        sprite: its colours and opacity.
        nearness: of all of it.
    """

    motion: Carried
    sprite: Sprite
    nearness: float


@dataclass(frozen=True, eq=False)
class LayeredFrames:
    """What frames are composed of.

    Attributes:
        staging: where everything is in each frame.
        ground: behind everything.
        soft: what bends it.
        behind: regions under what is around them, later ones over earlier ones.
        carried: cut-outs from back to front.
        front: what stands before everything; None for nothing.
        hole: (h, w) in [0, 1], where the ground is painted behind cut-outs.
        from_view: (3, 3) from places of the view to pixels of regions and the hole.
    """

    staging: LayeredStaging
    ground: GroundLayers
    soft: SoftBend
    behind: Sequence[RegionBehind]
    carried: Sequence[CarriedLayer]
    front: Sprite | None
    hole: np.ndarray
    from_view: np.ndarray

    @property
    def rests(self) -> bool:
        """Whether the camera does."""
        return self.staging.rests

    @property
    def moving(self) -> tuple[str, ...]:
        """The names of the cut-outs that can be seen."""
        return tuple(layer.motion.name for layer in self.carried)

    def starts(self, i: int) -> bool:
        """Whether frame i is the first."""
        return self.staging.starts(i)

    def camera(self, i: int) -> np.ndarray:
        """The matrix (3, 3) of the camera of frame i, of places off the centre."""
        return self.staging.camera(i)

    def composite(self, i: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Render frame i.

        Returns:
            (H, W, 3) in [0, 1], and masks (H, W) of what is seen of each region and cut-out; float32.
        """
        places = self.staging.places(i, self.soft.order(i))
        pictured, fill = self.ground.seen(places), self._fill(places)
        frame, masks = self._without_carried(pictured, fill, places), dict[str, np.ndarray]()
        bent = self._bend(frame, i, places, masks)
        covered = self._move_behind(frame, i, places, bent, masks)
        self._draw_carried(frame, i, places, masks)
        apart = max((self._apart(layer, i) for layer in self.carried), default=FAR)
        if apart < FAR:
            # What has hardly moved is shown as it is in the picture, with every hair.
            frame += (pictured - frame) * (math.exp(-(apart**2)) * fill * (1 - covered))[..., None]
        return frame.clip(0, 1), masks

    def _fill(self, places: Places) -> np.ndarray:
        """Where a frame's ground is painted behind cut-outs: (H, W) in [0, 1]."""
        if not self.carried:
            return np.zeros(places.size, np.float32)
        return seen_at(self.hole, self.from_view, places, places.whole, cv2.BORDER_REPLICATE).clip(0, 1)

    def _without_carried(self, pictured: np.ndarray, fill: np.ndarray, places: Places) -> np.ndarray:
        """A frame (H, W, 3) without its cut-outs, free to be drawn on."""
        if not fill.any():
            return pictured
        x, y, width, height = cv2.boundingRect((fill > 0).astype(np.uint8))
        region, frame = Region(x, y, width, height), pictured.copy()
        part = region.of(frame)
        part += (self.ground.without(places, region) - part) * region.of(fill)[..., None]
        return frame

    def _bend(self, frame: np.ndarray, i: int, places: Places, masks: dict[str, np.ndarray]) -> Places:
        """Bend the ground of a frame, in place; gives where it comes from then."""
        phases = self.soft.phases(i, places)
        if not phases:
            return places
        bent = phases[0][0]
        # Nothing is bent where all regions are out of the frame, or hidden.
        if bent.region.width:
            part = bent.region.of(frame)
            part += (self._bent(phases, places) - part) * bent.support[..., None]
        for layer in self.soft.regions:
            masks[layer.motion.name] = self._mask(layer.mask, bent.places)
        return bent.places

    def _bent(self, phases: Sequence[tuple[Bent, float]], places: Places) -> np.ndarray:
        """The colours (h, w, 3) of what is bent, with what stands before it."""
        region = phases[0][0].region
        made = np.zeros((region.height, region.width, 3), np.float32)
        for bent, share in phases:
            made += self.ground.without(bent.places, region) * np.float32(share)
        if self.front is not None:
            front = seen_at(self.front.layer, self.front.from_view, places, region, cv2.BORDER_CONSTANT)
            made += front[..., :3] - made * front[..., 3:]
        return made

    def _mask(self, mask: np.ndarray, places: Places) -> np.ndarray:
        return seen_at(mask, self.from_view, places, places.whole, cv2.BORDER_REPLICATE).clip(0, 1)

    def _move_behind(
        self, frame: np.ndarray, i: int, places: Places, bent: Places, masks: dict[str, np.ndarray]
    ) -> np.ndarray:
        """Move the regions behind others in a frame, in place; gives how much of each pixel (H, W) they are."""
        covered = np.zeros(places.size, np.float32)
        for layer in self.behind:
            masks[layer.motion.name] = np.zeros(places.size, np.float32)
            region = region_of(bent.sparse(), box_in_view(layer.box, self.from_view), places.size)
            if not region.width:
                continue
            share = seen_at(layer.share, self.from_view, bent, region, cv2.BORDER_REPLICATE).clip(0, 1)
            share *= 1 - self._front_opacity(places, region)
            part = region.of(frame)
            part += (self._content(layer, i, places.of(region), places.shrunk) - part) * share[..., None]
            _cover(masks, region, share)
            region.of(masks[layer.motion.name])[:] = share
            np.maximum(region.of(covered), share, out=region.of(covered))
        return covered

    def _content(self, layer: RegionBehind, i: int, at: np.ndarray, shrunk: float) -> np.ndarray:
        """The colours (h, w, 3) of a region at places (h, w, 2) in frame i."""
        made = np.zeros((*at.shape[:2], 3), np.float32)
        for time, share in self.staging.phases(i, layer.motion.period):
            moved = at + self.staging.displaced(layer.motion.displace, at, time)
            made += np.float32(share) * _sampled(layer.colours, self.from_view, moved, shrunk, cv2.BORDER_REFLECT_101)
        return made

    def _draw_carried(self, frame: np.ndarray, i: int, places: Places, masks: dict[str, np.ndarray]) -> None:
        """Draw cut-outs on a frame, in place."""
        for layer in self.carried:
            masks[layer.motion.name] = np.zeros(places.size, np.float32)
            ground = self.staging.places_of_one_nearness(i, layer.nearness)
            time = self.staging.carried_time(i, layer.motion.period)
            sparse = ground.sparse()
            sparse = sparse + self.staging.displaced(layer.motion.displace, sparse, time)
            height, width = layer.sprite.layer.shape[:2]
            box = box_in_view(np.array([[-1.0, -1.0], [width, height]]), layer.sprite.from_view)
            region = region_of(sparse, box, places.size)
            if not region.width:
                continue
            at = ground.of(region)
            moved = at + self.staging.displaced(layer.motion.displace, at, time)
            seen = _sampled(layer.sprite.layer, layer.sprite.from_view, moved, ground.shrunk, cv2.BORDER_CONSTANT)
            seen *= 1 - self._front_opacity(places, region)[..., None]
            part = region.of(frame)
            part += seen[..., :3] - part * seen[..., 3:]
            _cover(masks, region, seen[..., 3].clip(0, 1))
            region.of(masks[layer.motion.name])[:] = seen[..., 3].clip(0, 1)

    def _front_opacity(self, places: Places, region: Region) -> np.ndarray:
        """How much of each pixel (h, w) of a region is in front of everything."""
        if self.front is None:
            return np.zeros((region.height, region.width), np.float32)
        seen = seen_at(self.front.layer, self.front.from_view, places, region, cv2.BORDER_CONSTANT)
        return seen[..., 3].clip(0, 1)

    def _apart(self, layer: CarriedLayer, i: int) -> float:
        """How far a cut-out is from its place on the ground, in pixels of the clip."""
        corners = layer.sprite.corners[:2].T[None].astype(np.float32)
        time = self.staging.carried_time(i, layer.motion.period)
        return float(np.linalg.norm(self.staging.displaced(layer.motion.displace, corners, time), axis=-1).max())


def _cover(masks: dict[str, np.ndarray], region: Region, opacity: np.ndarray) -> None:
    """Take from masks what something in a region hides of them, in place."""
    for mask in masks.values():
        part = region.of(mask)
        part *= 1 - opacity


def seen_at(layer: np.ndarray, from_view: np.ndarray, places: Places, region: Region, border: int) -> np.ndarray:
    """What a region of a frame shows of a layer (h, w) or (h, w, C), that is not moved by itself."""
    if places.moved is None:
        return sample(layer, from_view, Placement(places.matrix), region, border)
    return _sampled(layer, from_view, places.of(region), places.shrunk, border)


def _sampled(layer: np.ndarray, from_view: np.ndarray, at: np.ndarray, shrunk: float, border: int) -> np.ndarray:
    """A layer at places (h, w, 2) of the view, of which a pixel of the frame is so many pixels wide."""
    layer, to_coarse = without_fine_detail(layer, shrunk * math.sqrt(abs(np.linalg.det(from_view))))
    return sample_at(layer, to_coarse @ from_view, at, cv2.INTER_CUBIC, border)
