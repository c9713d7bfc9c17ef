"""The ground of a frame, bent by regions that draw along what is around them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from .depth_order import DepthOrder
from .layered_staging import LayeredStaging, Places, affine_places, box_in_view, region_of
from .regions import SoftRegion
from .sampling import Region, sample_at

_SUPPORT = 20.0
"""A pixel that has this part of a region's motion, or more, is made anew; with less it fades into what it was."""


@dataclass(frozen=True, eq=False)
class Bent:
    """Where the ground of a frame comes from.

    Attributes:
        places: of all pixels.
        region: what of the frame is bent.
        support: (h, w) of that in [0, 1], how far pixels are made anew.
    """

    places: Places
    region: Region
    support: np.ndarray


@dataclass(frozen=True, eq=False)
class SoftBend:
    """What bends the ground.

    Attributes:
        staging: where everything is in each frame.
        regions: that draw along what is around them.
        from_view: (3, 3) from places of the view to their pixels.
    """

    staging: LayeredStaging
    regions: Sequence[SoftRegion]
    from_view: np.ndarray

    def order(self, i: int) -> DepthOrder | None:
        """What hides what in frame i: an edge in depth goes where what has it is drawn."""
        order = self.staging.depth
        if order is None or not self.regions:
            return order
        part = self._reached()
        at = affine_places(np.linalg.inv(self.from_view) @ part.matrix, (part.height, part.width))
        moved = at + sum(
            self._drawn(layer, at, self.staging.phases(i, layer.motion.period)[0][0])[1] for layer in self.regions
        )
        nearness = order.nearness.copy()
        part.of(nearness)[:] = sample_at(order.nearness, self.from_view, moved, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE)
        return replace(order, nearness=nearness)

    def _reached(self) -> Region:
        """The part of the layers in which a region moves something."""
        boxes = np.stack([layer.box for layer in self.regions]) + 0.5
        (left, top), (right, bottom) = boxes[:, 0].min(0).astype(int), boxes[:, 1].max(0).astype(int)
        return Region(int(left), int(top), int(right - left), int(bottom - top))

    def phases(self, i: int, places: Places) -> list[tuple[Bent, float]]:
        """How the ground of frame i is bent, and what share of the frame is made that way; nothing if it is not.

        Args:
            i: of the frame.
            places: where its ground comes from before that.
        """
        moves = [self.staging.phases(i, region.motion.period) for region in self.regions]
        longest = max(moves, key=len, default=[])
        return [
            (self._bent(places, [move[min(k, len(move) - 1)][0] for move in moves]), share)
            for k, (_, share) in enumerate(longest)
        ]

    def _bent(self, places: Places, times: Sequence[float]) -> Bent:
        """The ground with each region at its time."""
        moved = places.of(places.whole).copy()
        behind = None if places.depth is None else places.depth.behind.copy()
        support = np.zeros(places.size, np.float32)
        for layer, time in zip(self.regions, times, strict=True):
            part = region_of(places.sparse(), box_in_view(layer.box, self.from_view), places.size)
            if not part.width:
                continue
            share, by = self._drawn(layer, places.of(part), time)
            target = part.of(moved)
            target += by
            reached = part.of(support)
            np.maximum(reached, np.minimum(_SUPPORT * share, 1), out=reached)
            if behind is not None and places.depth is not None:
                behind += self._drawn(layer, places.depth.behind, time)[1]
        x, y, width, height = cv2.boundingRect((support > 0).astype(np.uint8))
        region = Region(x, y, width, height)
        depth = None if behind is None or places.depth is None else replace(places.depth, behind=behind)
        return Bent(replace(places, moved=moved, depth=depth), region, region.of(support))

    def _drawn(self, layer: SoftRegion, at: np.ndarray, time: float) -> tuple[np.ndarray, np.ndarray]:
        """How much places (h, w, 2) have of a region's motion, (h, w), and by how much that displaces them."""
        share = sample_at(layer.share, self.from_view, at, cv2.INTER_LINEAR, cv2.BORDER_REPLICATE)
        return share, share[..., None] * self.staging.displaced(layer.motion.displace, at, time)
