"""What hides what where near parts of a picture move more than far ones, and what comes into view between them."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from ..motion_fields.painters_order import nearest_shown
from .background import fill_hole
from .push_pull import push_pull
from .sampling import Region, in_rows

STEP = 0.12
"""Nearnesses that differ by more over a few pixels are of two things, one before the other."""
_COARSE = 3
"""Pixels of a frame, along a side, to one at which everything is compared with everything."""
_STEPS = 4
"""Of the fixed-point iteration: each leaves a tenth of the error, or less, on a slope; what is left is rounding."""
_EDGE = 0.06
"""Difference of nearness to a neighbour there, from which on a place is looked at pixel by pixel."""
_SMOOTH, _ROUNDS, _SHARE = 4, 6, 0.7
"""Pixels of a frame to one at which the ground behind near things is followed; rounds of the fixed-point iteration, and
what share of each is taken."""
_SLOPE = 0.005
"""Of the longer side: how wide, to either side, edges in depth are softened by who makes them."""
_HAIRS = 0.004
"""Of the longer side: by how much near things grow."""
_SMALL_SIDE = 512
"""Pixels of the longer side at which edges in depth are looked for."""

_FAR = 64.0
"""Numbers off 0 from which the matrix of a move is read."""

Move = Callable[[np.ndarray, np.ndarray | float], np.ndarray]
"""Places (h, w, C) of a frame, in whatever numbers, and nearnesses (h, w), or one, to places (h, w, 2) of the view; of
one nearness affinely."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What a frame shows of a picture in depth.

    Attributes:
        places: (H, W, 2) of the view, of what is nearest in each pixel.
        region: the part of the frame where something has come into view from behind near things; it may be empty.
        behind: (h, w, 2) of the view, where what is behind comes from in that part.
        uncovered: (h, w) in [0, 1], with soft edges: where it has come into view.
    """

    places: np.ndarray
    region: Region
    behind: np.ndarray
    uncovered: np.ndarray


@dataclass(frozen=True, eq=False)
class DepthOrder:
    """The nearness of a picture.

    Attributes:
        nearness: (h, w) float32 in [0, 1], at the size of the layers; edges are hard.
        behind: (h, w) likewise, of what is behind the edges of near things.
        from_view: (3, 3) from places of the view to their pixels.
    """

    nearness: np.ndarray
    behind: np.ndarray
    from_view: np.ndarray

    def seen(self, places: np.ndarray, move: Move) -> Seen:
        """Find what a frame shows.

        Args:
            places: (H, W, C) of its pixels, what `move` takes.
            move: where what is so near comes from.
        """
        shown = self._shown(places, move)
        seen = move(places, shown)
        # Where no nearness leads to a place that is as near, nothing of frame 1 is to be seen.
        hole = (np.abs(self._at(self.nearness, seen) - shown) > STEP).astype(np.float32)
        hole = cv2.blur(cv2.dilate(hole, np.ones((3, 3), np.uint8)), (3, 3))
        region = Region(*cv2.boundingRect((hole > 0).astype(np.uint8)))
        return Seen(seen, region, self._seen_behind(region.of(places), move), region.of(hole))

    def _seen_behind(self, places: np.ndarray, move: Move) -> np.ndarray:
        """Where the ground behind near things comes from: (h, w, 2), coarsely, since it is smooth."""
        if not places.size:
            return places
        small = np.ascontiguousarray(places[::_SMOOTH, ::_SMOOTH])
        shown = self._at(self.behind, move(small, 0.0))
        for _ in range(_ROUNDS):
            shown += (self._at(self.behind, move(small, shown)) - shown) * _SHARE
        # Pixels lie at whole numbers, of which the first of each few is known.
        y, x = (np.arange(side, dtype=np.float32) / _SMOOTH for side in places.shape[:2])
        near = cv2.remap(shown, *np.meshgrid(x, y), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return move(np.ascontiguousarray(places), near)

    def _shown(self, places: np.ndarray, move: Move) -> np.ndarray:
        """How near is what is seen in each pixel, (H, W), by the painter's order.

        Everything is compared at a third of the frame's size. Pixel by pixel that is done over only beside edges, and
        elsewhere steps of the fixed-point iteration take the nearness of the place that is found.
        """
        coarse = self._compared(np.ascontiguousarray(places[::_COARSE, ::_COARSE]), move)
        size = places.shape[1::-1]
        shown = _enlarged(coarse, size, cv2.INTER_LINEAR)
        for _ in range(_STEPS):
            shown = self._at(self.nearness, move(places, shown))
        around = np.ones((3, 3), np.uint8)
        edge = (cv2.dilate(coarse, around) - cv2.erode(coarse, around) > _EDGE).astype(np.uint8)
        near_edges = _enlarged(edge, size, cv2.INTER_NEAREST) > 0
        if near_edges.any():
            beside = places[near_edges]
            shown[near_edges] = self._compared(in_rows(beside), move).ravel()[: len(beside)]
        return shown

    def _at(self, nearness: np.ndarray, places: np.ndarray) -> np.ndarray:
        """A nearness (h, w) at places (H, W, 2) of the view: (H, W)."""
        return _sampled(nearness, places, self.from_view[:2])

    def _compared(self, places: np.ndarray, move: Move) -> np.ndarray:
        """As `_shown`, for any places (h, w, C)."""

        def there(nearness: Tensor) -> Tensor:
            if nearness.ndim:
                return torch.from_numpy(self._at(self.nearness, move(places, nearness.numpy())))
            matrix = self.from_view @ _matrix(move, places.shape[-1], float(nearness))
            return torch.from_numpy(_sampled(self.nearness, places, matrix[:2]))

        return nearest_shown(there, torch.zeros(())).numpy()


def with_hard_edges(nearness: np.ndarray) -> np.ndarray:
    """Make soft edges in depth (h, w) hard: a slope there would be a wall that is seen from the side.

    A shock filter (Osher and Rudin 1990) by the least and the largest nearness around a pixel. Then near things grow a
    little, so that no hair of theirs is left behind.
    """
    slope, hairs = (_disc(share * max(nearness.shape)) for share in (_SLOPE, _HAIRS))
    for _ in range(2):
        low, high = cv2.erode(nearness, slope), cv2.dilate(nearness, slope)
        nearer = np.where(2 * nearness > low + high, high, low)
        nearness = np.where(high - low > STEP, nearer, nearness)
    grown = cv2.dilate(nearness, hairs)
    return np.where(grown - cv2.erode(nearness, hairs) > STEP, grown, nearness)


def behind_edges(picture: np.ndarray, nearness: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Paint what is behind the edges of near things, as far as it can come into view.

    Args:
        picture: (h, w, 3) float32 in [0, 1].
        nearness: (h, w) in [0, 1], with hard edges.
        reach: how far, in pixels, what is nearest moves beside what is farthest.

    Returns:
        (h, w, 3): the picture, with what is beside them in place of the rims of near things; and how near that is.
    """
    scale = min(1.0, _SMALL_SIDE / max(nearness.shape))
    size = tuple(max(1, round(scale * side)) for side in nearness.shape[::-1])
    small = cv2.resize(nearness, size, interpolation=cv2.INTER_NEAREST)
    distance, farther = _beside_edges(small)
    nearer, rims = small - farther > STEP, []
    for depth in (1.5, 5.0):
        rim = nearer & (distance <= depth * scale * reach + 2)
        # Beside an edge in depth both sides may still be the near thing's.
        edge = cv2.dilate((rim & (distance <= 1)).astype(np.uint8), _disc(_HAIRS * max(size)))
        rims.append(_enlarged(rim.astype(np.uint8) | edge, nearness.shape[::-1], cv2.INTER_NEAREST) > 0)
    seen, all_near = rims
    # What is painted goes on from what is farther alone, not from the inside of the near thing.
    far_colours = push_pull(picture, all_near)
    return fill_hole(far_colours, seen), push_pull(nearness[..., None], all_near)[..., 0]


def _beside_edges(nearness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far each pixel (h, w) is from an edge in depth, and how near the farther side of the closest one is."""
    around = np.ones((3, 3), np.uint8)
    low = cv2.erode(nearness, around)
    edge = cv2.dilate(nearness, around) - low > STEP
    if not edge.any():
        return np.full(nearness.shape, np.inf), nearness
    distance, labels = cv2.distanceTransformWithLabels(
        1 - edge.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    of_label = np.zeros(labels.max() + 1, np.float32)
    of_label[labels[edge]] = low[edge]
    return distance, of_label[labels]


def _matrix(move: Move, count: int, nearness: float) -> np.ndarray:
    """The matrix (3, count + 1) by which what is so near moves, from places of so many numbers."""
    probes = np.vstack([np.zeros(count), _FAR * np.eye(count)]).astype(np.float32)
    origin, *ends = move(probes[None], nearness)[0].astype(np.float64)
    columns = [*((end - origin) / _FAR for end in ends), origin]
    return np.vstack([np.stack(columns, 1), [0.0] * count + [1.0]])


def _sampled(nearness: np.ndarray, places: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """A nearness (h, w) where a matrix (2, C + 1) sends places (H, W, C), in its pixels: (H, W)."""
    x, y = cv2.split(cv2.transform(places, matrix))
    return cv2.remap(nearness, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _disc(radius: float) -> np.ndarray:
    side = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))


def _enlarged(plane: np.ndarray, size: tuple[int, ...], how: int) -> np.ndarray:
    return cv2.resize(plane, size, interpolation=how)
