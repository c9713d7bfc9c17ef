"""A subject as a layer of its own: its colours, and how much of each pixel is its own."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from .cut_out import cut_out
from .sampling import Placement, Region, sample

_MARGIN = 3
"""Pixels around a sprite that bicubic sampling reaches."""
SEEN = 0.5
"""Opacity above which a pixel belongs to the subject for sure."""


@dataclass(frozen=True, eq=False)
class Sprite:
    """A subject cut out of the picture.

    Attributes:
        layer: (h, w, 4) float32: colours times opacity, and opacity.
        from_view: (3, 3) from places of the view to its pixels.
        corners: (3, 4) places x, y, 1 of the view, around the subject in frame 1.
    """

    layer: np.ndarray
    from_view: np.ndarray
    corners: np.ndarray

    def region(self, placement: Placement, size: tuple[int, int]) -> Region:
        """The part of a frame of a size (height, width) in which the sprite can be seen."""
        height, width = self.layer.shape[:2]
        low, right, bottom = -_MARGIN, width - 1 + _MARGIN, height - 1 + _MARGIN
        edges = np.array([[low, low, 1], [right, low, 1], [low, bottom, 1], [right, bottom, 1]]).T
        x, y, _ = np.linalg.inv(self.from_view @ placement.matrix) @ edges
        spread = placement.bend.largest * _magnified(placement) if placement.bend else 0.0
        left, top = max(0, math.floor(x.min() - spread)), max(0, math.floor(y.min() - spread))
        last_x, last_y = min(size[1], math.ceil(x.max() + spread) + 1), min(size[0], math.ceil(y.max() + spread) + 1)
        return Region(left, top, max(0, last_x - left), max(0, last_y - top))

    def drawn_on(
        self, frame: np.ndarray, placement: Placement, in_front: Iterable["Sprite"], ground: Placement
    ) -> np.ndarray:
        """Draw the sprite on a frame, in place.

        Args:
            frame: (H, W, 3).
            placement: of the sprite.
            in_front: subjects at rest that hide it. They are on the frame already, which stays as it is where the
                sprite is not.
            ground: where those come from.

        Returns:
            Its opacity (H, W), also where it is hidden.
        """
        opacity, region = np.zeros(frame.shape[:2], np.float32), self.region(placement, frame.shape[:2])
        if region.width and region.height:
            seen = self._seen(placement, region)
            for sprite in in_front:
                hides = sprite._seen(ground, region)
                seen[..., :3] += hides[..., :3] * seen[..., 3:] - seen[..., :3] * hides[..., 3:]
            below = region.of(frame)
            below *= 1 - seen[..., 3:]
            below += seen[..., :3]
            region.of(opacity)[:] = seen[..., 3].clip(0, 1)
        return opacity

    def _seen(self, placement: Placement, region: Region) -> np.ndarray:
        """Its layer (h, w, 4) in a region of a frame."""
        return sample(self.layer, self.from_view, placement, region, cv2.BORDER_CONSTANT)


def cut_sprite(
    picture: np.ndarray, opacity: np.ndarray, plate: np.ndarray, from_view: np.ndarray, farthest: float
) -> Sprite:
    """Cut a subject out of a picture.

    Args:
        picture: (h, w, 3) float32 in [0, 1].
        opacity: (h, w) in [0, 1], how much of each pixel is the subject's, see `matte`; not 0 everywhere.
        plate: (h, w, 3), what is behind the subject.
        from_view: (3, 3) from places of the view to pixels of all three.
        farthest: by how many of their pixels the subject moves. Where the picture's edge cuts the subject, it goes on
            so far beyond: its colours mirrored.

    Returns:
        The sprite, no larger than the subject.
    """
    left, top, width, height = cv2.boundingRect((opacity > 0).astype(np.uint8))
    part = np.s_[top : top + height, left : left + width]
    rim = _rim(opacity.shape, left, top, width, height, math.ceil(farthest) + _MARGIN)
    colours = cv2.copyMakeBorder(cut_out(picture, opacity, plate)[part], *rim, cv2.BORDER_REFLECT)
    own = cv2.copyMakeBorder(opacity[part], *rim, cv2.BORDER_REPLICATE)
    layer = np.dstack([colours * own[..., None], own])
    shift = np.array([[1.0, 0, rim[2] - left], [0, 1.0, rim[0] - top], [0, 0, 1.0]])
    return Sprite(layer, shift @ from_view, corners_of(opacity, from_view))


def _rim(size: tuple[int, ...], left: int, top: int, width: int, height: int, wanted: int) -> tuple[int, int, int, int]:
    """By how much a box goes on at the top, bottom, left and right: only where it touches the edge of a picture."""
    touches = (top == 0, top + height == size[0], left == 0, left + width == size[1])
    up, down, before, behind = (
        min(wanted, side) if touch else 0 for touch, side in zip(touches, (height, height, width, width), strict=True)
    )
    return up, down, before, behind


def corners_of(opacity: np.ndarray, from_view: np.ndarray) -> np.ndarray:
    """The places (3, 4), x, y, 1 of the view, around a subject's opacity (h, w), see `cut_sprite`."""
    x, y, width, height = cv2.boundingRect((opacity > SEEN).astype(np.uint8))
    pixels = np.array([[x, y, 1], [x + width, y, 1], [x, y + height, 1], [x + width, y + height, 1]], dtype=float).T
    return np.linalg.inv(from_view) @ pixels


def _magnified(placement: Placement) -> float:
    """How many pixels of the clip a pixel of the view is there."""
    return 1 / math.sqrt(abs(np.linalg.det(placement.matrix)))
