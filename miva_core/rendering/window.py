"""The part of the view that a clip shows, so that it never sees beyond the picture."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import MIVAError
from .view import View

Edges = Literal["inside", "mirror"]
EDGES: tuple[Edges, ...] = ("inside", "mirror")

SMALLEST = 0.25
"""Share of the view's sides below which a window shows too little to be worth a clip."""
_KERNEL = 3.0
"""Pixels around a place that bicubic sampling looks at, and what shrinking the picture before mixes into them."""
_TRIED = 32
"""Places along each side of a frame at which it is asked whether they are in the picture."""


@dataclass(frozen=True)
class Window:
    """A part of a view, in its shape.

    Attributes:
        zoom: share of the view's sides that the clip shows; 1 is all of it.
        x: by how much its centre is off the view's, as a share of the view's width.
        y: as a share of the view's height.
    """

    zoom: float = 1.0
    x: float = 0.0
    y: float = 0.0

    @property
    def whole(self) -> bool:
        """Whether this is the view itself."""
        return (self.zoom, self.x, self.y) == (1.0, 0.0, 0.0)

    def matrix(self, size: tuple[int, int]) -> np.ndarray:
        """The matrix (3, 3) from places of the clip to those of the view, off their centres, in pixels of the clip."""
        return np.array([[self.zoom, 0, self.x * size[1]], [0, self.zoom, self.y * size[0]], [0, 0, 1]])


def window_inside(cameras: Iterable[np.ndarray], view: View, picture: tuple[int, int]) -> Window:
    """Find the largest window, nearest to the view's centre, through which no frame sees beyond the picture.

    Args:
        cameras: matrices (3, 3) of all frames, see `SimilarityPath.matrix`, at the clip's size.
        view: what the clip is framed on.
        picture: (height, width) of the picture in pixels.

    Returns:
        The window. Along an axis on which the whole view would see beyond, bicubic sampling stays within, too.

    Raises:
        MIVAError: it would be smaller than a quarter of the view's sides.
    """
    height, width = view.size
    corners = np.array([[x, y, 1] for x in (-width / 2, width / 2) for y in (-height / 2, height / 2)]).T
    places = np.concatenate([(camera @ corners)[:2] for camera in cameras], axis=1)
    low, high = places.min(1), places.max(1)
    first, last = picture_in_view(view, picture)
    leaves = (low < first - 1e-6) | (high > last + 1e-6)
    if not leaves.any():
        return Window()
    # Pixels of what is sampled are those of the picture, or those of the clip where the picture is finer.
    kernel = _KERNEL * np.maximum([width / view.box[3], height / view.box[2]], 1.0) * leaves
    first, last = first + kernel, last - kernel
    zoom = float(min(1.0, *((last - first) / (high - low))))
    if zoom < SMALLEST:
        shown = "less than 1 %" if zoom < 0.01 else f"only {100 * zoom:.0f} %"
        raise MIVAError(
            f"The camera leaves the picture so far that {shown} of its sides could be shown: "
            "make the clip shorter, the motion weaker, or choose the edges 'mirror'."
        )
    # The centre of the view, or as near to it as the picture's edges allow.
    centre = np.clip(0.0, first - zoom * low, last - zoom * high)
    return Window(zoom, float(centre[0] / width), float(centre[1] / height))


def shares_seen(camera: np.ndarray, window: Window, view: View, picture: tuple[int, int]) -> tuple[float, float]:
    """Compute how much a frame sees of its picture.

    Args:
        camera: the matrix (3, 3) of the frame, as for `window_inside`.
        window: what the clip shows of the view.
        view: what the clip is framed on.
        picture: (height, width) of the picture in pixels.

    Returns:
        How long the frame's sides are, as a share of the view's; and how much of its area is the picture itself, not
        what lies beyond the edges.
    """
    (height, width), seen = view.size, window.matrix(view.size) @ camera
    middles = (np.arange(_TRIED) + 0.5) / _TRIED - 0.5
    points = np.stack([*(axis.ravel() for axis in np.meshgrid(width * middles, height * middles)), np.ones(_TRIED**2)])
    first, last = picture_in_view(view, picture)
    places = (seen @ points)[:2].T
    within = ((places >= first) & (places <= last)).all(1)
    return math.sqrt(np.linalg.det(seen)), float(within.mean())


def picture_in_view(view: View, picture: tuple[int, int]) -> np.ndarray:
    """The first and last corner x, y of a picture (height, width): (2, 2), off the view's centre in clip pixels."""
    (height, width), (top, left, box_height, box_width) = view.size, view.box
    scale = np.array([width / box_width, height / box_height])
    centre = np.array([left + box_width / 2, top + box_height / 2])
    return np.stack([-centre * scale, (np.array([picture[1], picture[0]]) - centre) * scale])
