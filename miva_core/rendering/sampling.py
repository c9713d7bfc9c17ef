"""Sample a layer where a frame sees it: bicubic, and without aliases where it is shrunk."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

_ROW = 256
"""Single places to a row: OpenCV takes no row of more than 32767."""


@dataclass(frozen=True)
class Region:
    """A part of a frame, in pixels."""

    left: int
    top: int
    width: int
    height: int

    def of(self, frame: np.ndarray) -> np.ndarray:
        """The part of a frame (H, W, …), shared with it."""
        return frame[self.top : self.top + self.height, self.left : self.left + self.width]

    def common(self, other: "Region") -> "Region":
        """What two regions of a frame have in common; of no width or height where that is nothing."""
        left, top = max(self.left, other.left), max(self.top, other.top)
        right = min(self.left + self.width, other.left + other.width)
        bottom = min(self.top + self.height, other.top + other.height)
        return Region(left, top, max(0, right - left), max(0, bottom - top))

    def off(self, other: "Region") -> "Region":
        """The same region of a frame as one of another region."""
        return Region(self.left - other.left, self.top - other.top, self.width, self.height)

    @property
    def matrix(self) -> np.ndarray:
        """The matrix (3, 3) from its pixels to the frame's."""
        return np.array([[1.0, 0, self.left], [0, 1.0, self.top], [0, 0, 1.0]])


@dataclass(frozen=True, eq=False)
class Bend:
    """A coarse flow on top of a matrix.

    Attributes:
        flow: (h, w, 2) float32, in pixels of the clip.
        to_grid: (3, 3) from pixels of the clip to those of the flow.
        within: (2, 2) first and last corner x, y of the part of the view that it may lead to; None for all.
    """

    flow: np.ndarray
    to_grid: np.ndarray
    within: np.ndarray | None = None

    @property
    def largest(self) -> float:
        """Its longest vector, in pixels of the clip."""
        return float(np.linalg.norm(self.flow, axis=-1).max())


@dataclass(frozen=True, eq=False)
class Placement:
    """Where in the view a frame's pixels of one layer come from.

    Attributes:
        matrix: (3, 3) from pixels of the clip, the first at 0, to places of the view, off its centre in pixels of the
            clip.
        bend: what comes on top of it; None where the layer is stiff.
    """

    matrix: np.ndarray
    bend: Bend | None = None


def sample(layer: np.ndarray, from_view: np.ndarray, placement: Placement, region: Region, border: int) -> np.ndarray:
    """Sample a layer for a region of a frame.

    Args:
        layer: (h, w, C) float32, C at most 4.
        from_view: (3, 3) from places of the view to pixels of the layer.
        placement: where in the view the frame's pixels come from.
        region: of the frame.
        border: how the layer goes on beyond its edges, one of OpenCV's border types.

    Returns:
        (region.height, region.width, C) float32.
    """
    matrix = from_view @ placement.matrix @ region.matrix
    layer, to_coarse = _coarse(layer, math.sqrt(abs(np.linalg.det(matrix))))
    matrix, from_view = to_coarse @ matrix, to_coarse @ from_view
    layer = _smoothed(layer, math.sqrt(abs(np.linalg.det(matrix))))
    if border == cv2.BORDER_REFLECT_101:
        layer = _with_mirror_image(layer)
        matrix = _in_first_image(matrix, region, layer.shape[:2])
    size, how = (region.width, region.height), cv2.INTER_CUBIC
    if placement.bend is None:
        return cv2.warpAffine(layer, matrix[:2], size, flags=how | cv2.WARP_INVERSE_MAP, borderMode=border)
    x, y = _places(matrix, from_view, placement.bend, region)
    return cv2.remap(layer, x, y, how, borderMode=border)


def sample_at(layer: np.ndarray, from_view: np.ndarray, places: np.ndarray, how: int, border: int) -> np.ndarray:
    """Sample a layer wherever one likes.

    Args:
        layer: (h, w) or (h, w, C) float32, C at most 4.
        from_view: (3, 3) from places of the view to pixels of the layer; it neither turns nor shears.
        places: (H, W, 2) float32 of the view.
        how: OpenCV's way to interpolate.
        border: how the layer goes on beyond its edges, one of OpenCV's border types.

    Returns:
        (H, W) or (H, W, C) float32.
    """
    matrix = from_view.astype(np.float32)
    x, y = (places[..., k] * matrix[k, k] + matrix[k, 2] for k in (0, 1))
    return cv2.remap(_with_mirror_image(layer), x, y, how, borderMode=border)


def in_rows(places: np.ndarray) -> np.ndarray:
    """Single places (N, C), at least one, as OpenCV samples them: (h, 256, C), the last row filled with the first."""
    return np.resize(places, (-(-len(places) // _ROW), _ROW, places.shape[1]))


def without_fine_detail(layer: np.ndarray, shrunk: float) -> tuple[np.ndarray, np.ndarray]:
    """Prepare a layer for a frame with so many times fewer pixels along each side.

    Returns:
        The layer without details that the frame cannot show, and the matrix (3, 3) to its pixels from the given one's.
    """
    layer, to_coarse = _coarse(layer, shrunk)
    return _smoothed(layer, shrunk * math.sqrt(np.linalg.det(to_coarse))), to_coarse


def _with_mirror_image(layer: np.ndarray) -> np.ndarray:
    """A layer that can be mirrored: a side of one pixel has no mirror image, and OpenCV 5 never comes back from it."""
    for axis in (0, 1):
        layer = np.repeat(layer, 2, axis) if layer.shape[axis] == 1 else layer
    return layer


def _in_first_image(matrix: np.ndarray, region: Region, size: tuple[int, ...]) -> np.ndarray:
    """Shift a matrix by whole periods of a mirrored layer, to where a region's middle is next to the layer itself.

    OpenCV holds places in 16 bits, so that those farther than 32767 pixels would all be the same.

    Args:
        matrix: (3, 3) from pixels of the region to those of the layer.
        region: of a frame.
        size: (h, w) of the layer.
    """
    middle = (matrix @ [region.width / 2, region.height / 2, 1])[:2]
    periods = np.array([max(1, 2 * (side - 1)) for side in (size[1], size[0])])
    shifted = matrix.copy()
    shifted[:2, 2] -= periods * np.rint(middle / periods)
    return shifted


def _places(matrix: np.ndarray, from_view: np.ndarray, bend: Bend, region: Region) -> tuple[np.ndarray, np.ndarray]:
    """The x and y (h, w) in a layer that the pixels of a region show."""
    y, x = np.mgrid[: region.height, : region.width]
    to_grid, how = (bend.to_grid @ region.matrix)[:2], cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    bent = cv2.warpAffine(bend.flow, to_grid, x.shape[::-1], flags=how, borderMode=cv2.BORDER_REPLICATE)
    across, down = (
        row[0] * x + row[1] * y + row[2] + bent @ part[:2] for row, part in zip(matrix[:2], from_view[:2], strict=True)
    )
    if bend.within is not None:
        # A pixel goes on for half its width around its place.
        low, high = bend.within @ from_view[:2, :2].T + from_view[:2, 2] + [[0.5], [-0.5]]
        across, down = across.clip(low[0], high[0]), down.clip(low[1], high[1])
    return across.astype(np.float32), down.astype(np.float32)


def _coarse(layer: np.ndarray, shrunk: float) -> tuple[np.ndarray, np.ndarray]:
    """A layer with half of its pixels along each side, or a quarter and so on, where that many are left.

    Returns:
        The layer, and the matrix (3, 3) to its pixels from those of the given one.
    """
    factor = 2 ** int(math.log2(max(1.0, min(shrunk, *layer.shape[:2]))))
    if factor == 1:
        return layer, np.eye(3)
    size = tuple(max(1, side // factor) for side in layer.shape[1::-1])
    x, y = (coarse / fine for coarse, fine in zip(size, layer.shape[1::-1], strict=True))
    to_coarse = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
    return cv2.resize(layer, size, interpolation=cv2.INTER_AREA), to_coarse


def _smoothed(layer: np.ndarray, shrunk: float) -> np.ndarray:
    """A layer without details that are too fine for a frame with so many times fewer pixels along each side."""
    if shrunk <= 1:
        return layer
    # What is then sampled is nearest to antialiased bicubic scaling, by which frame 1 is made: at factors of 1.25, 1.5
    # and 1.9 they differ by 46 to 54 dB on four photographs. Near 1 the spread is too small to do anything.
    return cv2.GaussianBlur(layer, (0, 0), math.sqrt(0.35 * shrunk - 0.25), borderType=cv2.BORDER_REFLECT_101)
