"""What hides what where near parts of a picture move more than far ones, and what comes into view between them."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from ..motion_fields.painters_order import shown_nearness
from .background import fill_hole

STEP = 0.12
"""Nearnesses that differ by more over a few pixels are of two things, one before the other."""
_COARSE = 2
"""Pixels of a frame, along a side, to one at which everything is compared with everything."""
_EDGE = 0.06
"""Difference of nearness to a neighbour there, from which on a place is looked at pixel by pixel."""
_SMALL_SIDE = 512
"""Pixels of the longer side at which edges in depth are looked for."""

Seen = Callable[[np.ndarray, np.ndarray | float], np.ndarray]
"""Places q_c (h, w, 2) of a frame and nearnesses (h, w), or one, to places (h, w, 2) of the view."""


@dataclass(frozen=True, eq=False)
class DepthOrder:
    """The nearness of a picture.

    Attributes:
        nearness: (h, w) float32 in [0, 1], at the size of the layers.
        from_view: (3, 3) from places of the view to its pixels.
    """

    nearness: np.ndarray
    from_view: np.ndarray

    def shown(self, places: np.ndarray, seen: Seen) -> np.ndarray:
        """Find how near is what a frame shows, by the painter's order.

        Everything is compared at half of the frame's size. Pixel by pixel that is done over only beside edges, and
        elsewhere one step of the fixed-point iteration takes the nearness of the place that is found.

        Args:
            places: (H, W, 2) q_c of the frame's pixels.
            seen: where what is so near comes from.

        Returns:
            (H, W) float32.
        """
        half = np.ascontiguousarray(places[::_COARSE, ::_COARSE])
        coarse = self._compared(half, seen)
        size = places.shape[1::-1]
        shown = _enlarged(coarse, size, cv2.INTER_LINEAR)
        shown = self.at(seen(places, shown))
        around = np.ones((3, 3), np.uint8)
        edge = (cv2.dilate(coarse, around) - cv2.erode(coarse, around) > _EDGE).astype(np.uint8)
        beside = _enlarged(edge, size, cv2.INTER_NEAREST) > 0
        if beside.any():
            shown[beside] = self._compared(places[beside][None], seen)[0]
        return shown

    def uncovered(self, places: np.ndarray, shown: np.ndarray) -> np.ndarray:
        """Find what comes into view from behind something near.

        Args:
            places: (H, W, 2) of the view that a frame shows.
            shown: (H, W) how near each is to be.

        Returns:
            (H, W) float32 in [0, 1], with soft edges: where at its place frame 1 has something nearer.
        """
        hole = (self.at(places) - shown > STEP).astype(np.float32)
        return cv2.blur(cv2.dilate(hole, np.ones((3, 3), np.uint8)), (3, 3))

    def at(self, places: np.ndarray) -> np.ndarray:
        """The nearness (H, W) of places (H, W, 2) of the view."""
        x, y = (places[..., k] * np.float32(self.from_view[k, k]) + np.float32(self.from_view[k, 2]) for k in (0, 1))
        return cv2.remap(self.nearness, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)

    def _compared(self, places: np.ndarray, seen: Seen) -> np.ndarray:
        """As `shown`, for any places (h, w, 2)."""
        height, width = self.nearness.shape
        scale = self.from_view[[0, 1], [0, 1]].astype(np.float32)
        shift = (self.from_view[:2, 2] - [(width - 1) / 2, (height - 1) / 2]).astype(np.float32)

        def found(nearness: Tensor) -> Tensor:
            near = nearness.numpy() if nearness.ndim else float(nearness)
            return torch.from_numpy(seen(places, near) * scale + shift)

        return shown_nearness(torch.from_numpy(self.nearness), found, (height, width)).numpy()


def behind_edges(picture: np.ndarray, nearness: np.ndarray, reach: float) -> np.ndarray:
    """Paint what is behind the edges of near things, as far as it can come into view.

    Args:
        picture: (h, w, 3) float32 in [0, 1].
        nearness: (h, w) in [0, 1].
        reach: how far, in pixels, what is nearest moves beside what is farthest.

    Returns:
        (h, w, 3): the picture, with what is beside them in place of the rims of near things.
    """
    scale = min(1.0, _SMALL_SIDE / max(nearness.shape))
    size = tuple(max(1, round(scale * side)) for side in nearness.shape[::-1])
    small = cv2.resize(nearness, size, interpolation=cv2.INTER_AREA)
    # Twice as deep as can be seen, so that little of the near thing itself is continued into what is seen.
    side = 2 * round(2 * scale * reach) + 3
    behind = cv2.erode(small, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    # Within a pixel or two an edge in depth is no good guess of the edge of the thing.
    rim = cv2.dilate((small - behind > STEP).astype(np.uint8), np.ones((3, 3), np.uint8))
    return fill_hole(picture, _enlarged(rim, nearness.shape[::-1], cv2.INTER_NEAREST) > 0)


def _enlarged(plane: np.ndarray, size: tuple[int, ...], how: int) -> np.ndarray:
    return cv2.resize(plane, size, interpolation=how)
