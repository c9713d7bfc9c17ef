"""The picture as frames sample it: the part that they see, no finer than they can show."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from ..media.pictures import scale_picture
from .view import View

_TOO_FINE = 1.25
"""Picture pixels to a pixel of the closest frame, from which on the picture is scaled down."""
_LARGEST_SIDE = 8192
"""Pixels, as many as the largest clip has twice over; with its mirror image it is within what OpenCV can sample."""


@dataclass(frozen=True)
class Source:
    """How the picture becomes what frames sample.

    Attributes:
        box: (top, left, height, width) of the part, in pixels of the picture.
        size: (height, width) that it is scaled to.
        view: what the clip is framed on.
    """

    box: tuple[int, int, int, int]
    size: tuple[int, int]
    view: View

    def taken(self, plane: np.ndarray) -> np.ndarray:
        """The part of the picture (H, W, 3), or of a mask (H, W), scaled down by areas; a view of it if it is not."""
        part = crop(plane, self.box)
        if self.size == part.shape[:2]:
            return part
        return cv2.resize(part, self.size[::-1], interpolation=cv2.INTER_AREA)

    def from_view(self) -> np.ndarray:
        """The matrix (3, 3) to its pixels from places of the view, off its centre in pixels of the clip.

        Pixels lie at whole numbers, the first at 0.
        """
        (height, width), (top, left, box_height, box_width) = self.view.size, self.view.box
        x, y = self.size[1] / self.box[3], self.size[0] / self.box[2]
        return np.array(
            [
                [x * box_width / width, 0, x * (left + box_width / 2 - self.box[1]) - 0.5],
                [0, y * box_height / height, y * (top + box_height / 2 - self.box[0]) - 0.5],
                [0, 0, 1],
            ]
        )


def seen_source(view: View, picture: tuple[int, int], places: np.ndarray, closest: float) -> Source:
    """The part of a picture that a moving camera sees.

    Args:
        view: what the clip is framed on.
        picture: (height, width) of the picture.
        places: (2, N) corners x, y of what all frames show, off the view's centre in pixels of the clip.
        closest: how large a pixel of the closest frame is there, in pixels of the clip.

    Returns:
        Its source, at the picture's own resolution unless that is far finer than the closest frame can show, or more
        than 8192 a side.
    """
    scale = np.array([view.box[3] / view.size[1], view.box[2] / view.size[0]])
    centre = np.array([view.box[1] + view.box[3] / 2, view.box[0] + view.box[2] / 2])
    margin = 4 * max(1.0, closest) * scale
    # Where all frames see is beyond the picture, its last pixels are what is mirrored.
    low = np.floor(np.clip(centre + scale * places.min(1) - margin, 0, np.array(picture[::-1]) - 1)).astype(int)
    high = np.ceil(np.clip(centre + scale * places.max(1) + margin, None, picture[::-1])).astype(int)
    left, top = (int(edge) for edge in low)
    width, height = (int(side) for side in np.maximum(high - low, 1))
    finer = float(scale.min()) * closest
    shrink = min(1 / finer if finer > _TOO_FINE else 1.0, _LARGEST_SIDE / max(width, height))
    return Source((top, left, height, width), (max(1, round(height * shrink)), max(1, round(width * shrink))), view)


def crop(plane: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """The part of a picture in a box (top, left, height, width)."""
    top, left, height, width = box
    return plane[top : top + height, left : left + width]


def fitted(part: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture (H, W, 3), or mask (H, W), at a size (height, width), as `fit_picture` scales it."""
    planes = torch.from_numpy(part if part.ndim == 3 else part[..., None])
    return scale_picture(planes, size).numpy().reshape(*size, *part.shape[2:])
