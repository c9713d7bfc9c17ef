"""Cut a picture into the layers of a clip whose motions are displacements of its places."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np

from .background import fill_hole, hole_around
from .depth_order import DepthOrder, behind_edges, with_hard_edges
from .layered_frames import CarriedLayer, GroundLayers, LayeredFrames
from .layered_motion import Carried, Staying, masks_of
from .layered_staging import LayeredStaging, box_in_view
from .layering import beyond
from .matte import matte
from .mirror import mirrored
from .push_pull import push_pull
from .regions import RegionBehind, SoftRegion, region_behind, soft_region
from .soft_bend import SoftBend
from .source import Source, crop, fitted, seen_source
from .sprite import SEEN, Sprite, cut_sprite
from .view import View

_ASKED = 12
"""Places along each side of a mask at which it is asked how far it moves."""


@dataclass(frozen=True, eq=False)
class LayerCutter:
    """A picture on the table.

    Attributes:
        staging: how everything moves, as yet without what hides what.
        view: what the clip is framed on.
        source: the part of the picture that frames see.
        pixels: (h, w, 3) of that.
        from_view: (3, 3) from places of the view to its pixels.
        seen: (2, N) corners of what frames see of the view.
    """

    staging: LayeredStaging
    view: View
    source: Source
    pixels: np.ndarray
    from_view: np.ndarray
    seen: np.ndarray

    @classmethod
    def of(cls, picture: np.ndarray, staging: LayeredStaging, view: View) -> "LayerCutter":
        """Lay out what frames see of a picture (H, W, 3) in [0, 1]."""
        seen, closest = _reach(staging)
        source = seen_source(view, (picture.shape[0], picture.shape[1]), seen, closest)
        return cls(staging, view, source, source.taken(picture), source.from_view(), seen)

    def cut(self, picture: np.ndarray, front: np.ndarray | None) -> LayeredFrames:
        """Cut the picture.

        Args:
            picture: as for `of`.
            front: (H, W) in [0, 1] of the picture, what stands before everything; None for nothing.
        """
        motion = self.staging.motion
        masks = {name: self.source.taken(mask) for name, mask in masks_of(motion).items()}
        hole = _holes([masks[layer.name] for layer in motion.carried], self.pixels.shape[:2])
        before = None if front is None else self.source.taken(front)
        hidden = hole if before is None else hole | hole_around(before)
        plate = fill_hole(self.pixels, hidden)
        depth, uncovered = self._depth(hole, plate)
        staging, (soft, behind) = replace(self.staging, depth=depth), self._regions(masks, hidden)
        return LayeredFrames(
            staging,
            self._ground(picture, plate, uncovered),
            SoftBend(staging, soft, self.from_view),
            behind,
            self._carried(masks, plate),
            None if before is None else self._front(before, plate),
            cv2.blur(hole.astype(np.float32), (3, 3)),
            self.from_view,
        )

    def _depth(self, hole: np.ndarray, plate: np.ndarray) -> tuple[DepthOrder | None, np.ndarray | None]:
        """What hides what, and the plate without the rims of near things; nothing where all is as near.

        Args:
            hole: (h, w) bool, where cut-outs are, behind which the ground goes on.
            plate: (h, w, 3) the picture without them.
        """
        if self.staging.motion.parallax is None:
            return None, None
        ground = push_pull(
            self.source.taken(self.staging.motion.parallax.nearness)[..., None].astype(np.float32), hole
        )[..., 0]
        nearness = np.ascontiguousarray(with_hard_edges(ground))
        uncovered, behind = behind_edges(plate, nearness, self._apart())
        return DepthOrder(nearness, np.ascontiguousarray(behind), self.from_view), uncovered

    def _regions(
        self, masks: Mapping[str, np.ndarray], hidden: np.ndarray
    ) -> tuple[list[SoftRegion], list[RegionBehind]]:
        """The regions that draw along what is around them, and those that move under it."""
        soft, behind = [], []
        unit = float((self.staging.unit * self.from_view[[0, 1], [0, 1]]).min())
        for layer in self.staging.motion.staying:
            if layer.behind:
                reach = self._reach(layer, masks[layer.name])
                behind.append(region_behind(layer, masks[layer.name], self.pixels, hidden, unit, reach))
            else:
                soft.append(soft_region(layer, masks[layer.name], hidden, unit))
        return soft, behind

    def _front(self, mask: np.ndarray, plate: np.ndarray) -> Sprite | None:
        """What stands before everything, (h, w) in [0, 1]; None where frames see nothing of it."""
        opacity = matte(self.pixels, mask)
        return cut_sprite(self.pixels, opacity, plate, self.from_view, 0) if opacity.max() > SEEN else None

    def _carried(self, masks: Mapping[str, np.ndarray], plate: np.ndarray) -> list[CarriedLayer]:
        """The cut-outs, but for those that are too thin to be seen at this size."""
        outside, layers = max(0.0, *beyond(self.pixels.shape[:2], self.from_view, self.seen)), []
        for layer in self.staging.motion.carried:
            mask = masks[layer.name]
            opacity = matte(self.pixels, mask)
            if opacity.max() > SEEN:
                farthest = self._reach(layer, mask) + outside
                sprite = cut_sprite(self.pixels, opacity, plate, self.from_view, farthest)
                layers.append(CarriedLayer(layer, sprite, self._nearness_in(opacity)))
        return layers

    def _nearness_in(self, opacity: np.ndarray) -> float:
        """How near a cut-out is, as a whole."""
        parallax = self.staging.motion.parallax
        if parallax is None:
            return 0.0
        return float(np.median(self.source.taken(parallax.nearness)[opacity > SEEN]))

    def _reach(self, layer: Staying | Carried, mask: np.ndarray) -> float:
        """How far a layer is ever displaced, in pixels of the source."""
        left, top, width, height = cv2.boundingRect((mask > 0.5).astype(np.uint8))
        x, y = np.meshgrid(np.linspace(left, left + width, _ASKED), np.linspace(top, top + height, _ASKED))
        places = box_in_view(np.stack([x, y], -1), self.from_view).astype(np.float32)
        times = {time for i in range(len(self.staging.times)) for time in self.staging.times_of(i, layer)}
        moved = (np.abs(self.staging.displaced(layer.displace, places, time)).max() for time in times)
        return float(max(moved) * abs(self.from_view[[0, 1], [0, 1]]).max())

    def _ground(self, picture: np.ndarray, plate: np.ndarray, uncovered: np.ndarray | None) -> GroundLayers:
        """What is behind all that moves by itself, continued where frames see beyond the picture."""
        height, width = self.pixels.shape[:2]
        wanted = zip(beyond((height, width), self.from_view, self.seen), (height, height, width, width), strict=True)
        # Half a picture of mirror image on each side bounds the memory; beyond, all of that is mirrored once more.
        top, bottom, left, right = (int(np.clip(np.ceil(out - 1e-6), 0, side // 2)) for out, side in wanted)
        rim, shift = (top, bottom, left, right), np.array([[1.0, 0, left], [0, 1.0, top], [0, 0, 1.0]])
        rests = self.staging.rests
        first = fitted(crop(picture, self.view.box), self.view.size) if rests else None
        pictured, filled = (mirrored(layer, rim) for layer in (self.pixels, plate))
        behind = None if uncovered is None else mirrored(uncovered, rim)
        return GroundLayers(pictured, filled, behind, shift @ self.from_view, first)

    def _apart(self) -> float:
        """How far the nearest and the farthest part are ever moved apart, in pixels of the source."""
        far, near = (self.staging.seen_by_all(end) for end in (self.staging.ends[0], self.staging.ends[-1]))
        return float(np.linalg.norm(near - far, axis=0).max() * abs(self.from_view[[0, 1], [0, 1]]).max())


def _holes(masks: Iterable[np.ndarray], size: tuple[int, ...]) -> np.ndarray:
    """Where the ground is painted behind any of some cut-outs: (h, w) bool."""
    hole = np.zeros(size, bool)
    for mask in masks:
        hole |= hole_around(mask)
    return hole


def _reach(staging: LayeredStaging) -> tuple[np.ndarray, float]:
    """What frames see of the view before anything moves by itself: as `Staging.reach`."""
    frames = range(len(staging.times))
    return (
        np.concatenate([staging.seen_by_all(end) for end in staging.ends], axis=1),
        min(staging.places_of_one_nearness(i, end).shrunk for i in frames for end in staging.ends),
    )
