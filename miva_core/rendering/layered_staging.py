"""Where in the view the layers of a frame come from that move by displacements of their own."""

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from .depth_order import DepthOrder, Seen
from .layered_motion import Carried, Displacement, LayeredMotion, Staying
from .sampling import Region
from .timing import ClipTimes
from .window import Window

STRIDE = 16
"""Pixels of a frame from one place to the next at which it is asked what is to be seen there."""


@dataclass(frozen=True, eq=False)
class Places:
    """Where in the view the pixels of a frame come from, off its centre in pixels of the clip.

    Attributes:
        size: (height, width) of the frame.
        matrix: (3, 3) from its pixels, the first at 0.
        moved: (H, W, 2) float32, the places where they are moved apart; None where the matrix says all.
        depth: what comes into view from behind near things; None where nothing does.
    """

    size: tuple[int, int]
    matrix: np.ndarray
    moved: np.ndarray | None = None
    depth: Seen | None = None

    @property
    def whole(self) -> Region:
        """All of the frame."""
        return Region(0, 0, self.size[1], self.size[0])

    @property
    def shrunk(self) -> float:
        """How many pixels of the view one of the frame is, along a side."""
        return math.sqrt(abs(np.linalg.det(self.matrix)))

    def of(self, region: Region) -> np.ndarray:
        """The places (h, w, 2) float32 of a region of the frame."""
        if self.moved is not None:
            return region.of(self.moved)
        return affine_places(self.matrix @ region.matrix, (region.height, region.width))

    def sparse(self) -> np.ndarray:
        """The places (h, w, 2) of every sixteenth pixel of the frame, and of those at its right and lower edge."""
        y, x = (_strides(side) for side in self.size)
        if self.moved is not None:
            return self.moved[np.ix_(y, x)]
        m = self.matrix
        return np.stack([m[k, 0] * x + m[k, 1] * y[:, None] + m[k, 2] for k in (0, 1)], -1).astype(np.float32)


def affine_places(matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Where a matrix (3, 3) sends the pixels of a frame (height, width): (H, W, 2) float32."""
    y, x = (np.arange(side, dtype=np.float64) for side in size)
    places = np.empty((*size, 2), np.float32)
    for k in (0, 1):
        places[..., k] = (matrix[k, 0] * x + matrix[k, 2])[None] + (matrix[k, 1] * y)[:, None]
    return places


def region_of(sparse: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> Region:
    """Find the part of a frame where a box of the view may be seen.

    Args:
        sparse: places of the view, see `Places.sparse`.
        box: (2, 2) its first and last corner x, y.
        size: (height, width) of the frame.

    Returns:
        The part, empty where nothing of the box is seen.
    """
    # Between two places that are looked at lies what is as far from either as they are from each other.
    steps = [np.abs(np.diff(sparse, axis=axis)).max((0, 1)) for axis in (0, 1) if sparse.shape[axis] > 1]
    reach = np.max([np.zeros(2), *steps], axis=0) + 2
    seen = ((sparse >= box[0] - reach) & (sparse <= box[1] + reach)).all(-1)
    if not seen.any():
        return Region(0, 0, 0, 0)
    (top, bottom), (left, right) = (_around(seen.any(axis), side) for axis, side in zip((1, 0), size, strict=True))
    return Region(left, top, right - left, bottom - top)


def box_in_view(box: np.ndarray, from_view: np.ndarray) -> np.ndarray:
    """The corners (2, 2), x and y, of a box in pixels of a layer as places of the view."""
    return (box - from_view[:2, 2]) / from_view[[0, 1], [0, 1]]


def _around(seen: np.ndarray, side: int) -> tuple[int, int]:
    """The first pixel and the one behind the last along a side, for the places along it that are seen."""
    first, last = np.flatnonzero(seen)[[0, -1]]
    at = _strides(side)
    return int(at[max(0, first - 1)]), int(at[min(len(at) - 1, last + 1)]) + 1


def _strides(side: int) -> np.ndarray:
    return np.unique(np.append(np.arange(0, side, STRIDE), side - 1))


@dataclass(frozen=True, eq=False)
class LayeredStaging:
    """The motions of all layers at the size of a clip.

    Attributes:
        size: (height, width) of the clip.
        window: the part of the view that it shows.
        motion: of all layers.
        times: of its frames.
        depth: what hides what where depth moves the picture; None where it does not.
    """

    size: tuple[int, int]
    window: Window
    motion: LayeredMotion
    times: ClipTimes
    depth: DepthOrder | None = None

    @property
    def unit(self) -> np.ndarray:
        """Pixels of the clip to a field unit, along x and y."""
        return unit_of(self.size, self.motion.grid)

    def camera(self, i: int) -> np.ndarray:
        """The matrix (3, 3) of the camera of frame i, see `camera_matrix`."""
        return camera_matrix(self.motion, self.size, float(self.times.eased[i]))

    def places(self, i: int, depth: DepthOrder | None = None) -> Places:
        """Where the ground of frame i comes from, before regions of it move by themselves.

        Args:
            i: of the frame.
            depth: what hides what then; None for what does in frame 1.
        """
        window, time, parallax = self.window.matrix(self.size), float(self.times.eased[i]), self.motion.parallax
        order = depth or self.depth
        camera = self.camera(i) @ _centred(self.size)
        stiff = Places(self.size, window @ camera)
        residual = self._residual(i) if time else None
        if parallax is None or order is None or not time:
            return stiff if residual is None else replace(stiff, moved=stiff.of(stiff.whole) + residual)
        to_view = (window @ _scaling(self.unit)).astype(np.float32)

        def move(places: np.ndarray, nearness: np.ndarray | float) -> np.ndarray:
            seen = cv2.transform(np.asarray(parallax.seen(places[..., :2], time, nearness), np.float32), to_view[:2])
            return seen if residual is None else seen + places[..., 2:]

        # What is lost where numbers of the way to the view are rounded is made up for by those of the way from there.
        at = affine_places(np.linalg.inv(to_view.astype(np.float64)) @ window @ camera, self.size)
        found = order.seen(at if residual is None else np.concatenate([at, residual], -1), move)
        return replace(stiff, moved=found.places, depth=found if found.region.width else None)

    def places_of_one_nearness(self, i: int, nearness: float) -> Places:
        """Where all of frame i would come from, were it as near."""
        window, height, width = self.window.matrix(self.size), *self.size
        camera = self.camera(i) @ _centred(self.size)
        if self.motion.parallax is None:
            return Places(self.size, window @ camera)
        corners = np.array([[[0, 0], [width - 1, 0], [0, height - 1]]], np.float64)
        at = cv2.transform(corners, camera[:2]) / self.unit
        seen = self.motion.parallax.seen(at, float(self.times.eased[i]), nearness)[0] * self.unit
        columns = np.stack([(seen[1] - seen[0]) / (width - 1), (seen[2] - seen[0]) / (height - 1), seen[0]], 1)
        return Places(self.size, window @ np.vstack([columns, [0, 0, 1]]))

    def seen_by_all(self, nearness: float) -> np.ndarray:
        """The corners (2, 4 N) of what all frames would see of the view, were all of it as near."""
        height, width = self.size
        corners = np.array([[x, y, 1] for x in (-0.5, width - 0.5) for y in (-0.5, height - 0.5)]).T
        frames = range(len(self.times))
        return np.concatenate([(self.places_of_one_nearness(i, nearness).matrix @ corners)[:2] for i in frames], axis=1)

    @property
    def rests(self) -> bool:
        """Whether the ground is where it was in frame 1, but for what moves by itself."""
        if self.motion.parallax is not None or self.motion.residual is not None or not self.window.whole:
            return False
        return all(np.array_equal(self.camera(i), np.eye(3)) for i in range(len(self.times)))

    def cameras(self) -> list[np.ndarray]:
        """The matrices (3, 3) of all frames, of places off the centre, for what is farthest and for what is nearest."""
        inverse = np.linalg.inv(_centred(self.size))
        return [
            self.places_of_one_nearness(i, end).matrix @ inverse for i in range(len(self.times)) for end in self.ends
        ]

    @property
    def ends(self) -> tuple[float, ...]:
        """The nearnesses of what is farthest and of what is nearest."""
        parallax = self.motion.parallax
        return (0.0,) if parallax is None else (float(parallax.nearness.min()), float(parallax.nearness.max()))

    def starts(self, i: int) -> bool:
        """Whether nothing has moved in frame i as yet."""
        return self.times.eased[i] == 0 and self.times.running[i] == 0

    def displaced(self, displace: Displacement, places: np.ndarray, time: float) -> np.ndarray:
        """By how much places (h, w, 2) of the view are displaced: (h, w, 2) float32, in pixels of the clip."""
        unit = self.unit.astype(np.float32)
        return np.asarray(displace(places / unit, time), np.float32) * unit

    def _residual(self, i: int) -> np.ndarray | None:
        """What bends all of frame i beside everything else: (H, W, 2) in pixels of the clip, or nothing."""
        if self.motion.residual is None:
            return None
        # At the places of a frame without a window, which is what the motion knows.
        camera = self.camera(i)
        unwindowed = np.linalg.inv(camera) @ self.window.matrix(self.size) @ camera @ _centred(self.size)
        places = affine_places(unwindowed, self.size)
        return self.displaced(self.motion.residual, places, float(self.times.eased[i]))

    def phases(self, i: int, period: float | None) -> list[tuple[float, float]]:
        """When in its motion something is that runs on by itself in frame i, see `Staying.period`.

        Returns:
            Times, and what share of the frame each makes.
        """
        time, loop = float(self.times.running[i]), self.times.loop
        if loop is None:
            return [(time, 1.0)]
        if period is not None:
            return [(time * max(1, round(loop / period)) * period / loop, 1.0)]
        share = time / loop
        return [(time, 1 - share), (time - loop, share)] if share else [(time, 1.0)]

    def times_of(self, i: int, layer: Staying | Carried) -> list[float]:
        """The times that a layer shows in frame i."""
        if isinstance(layer, Carried):
            return [self.carried_time(i, layer.period)]
        return [time for time, _ in self.phases(i, layer.period)]

    def carried_time(self, i: int, period: float | None) -> float:
        """When in its motion a cut-out is in frame i, see `Carried.period`."""
        return float(self.times.eased[i]) if period is None else self.phases(i, period)[0][0]


def _centred(size: tuple[int, int]) -> np.ndarray:
    """The matrix (3, 3) from pixels of a frame (height, width), the first at 0, to places off its centre."""
    return np.array([[1.0, 0, (1 - size[1]) / 2], [0, 1.0, (1 - size[0]) / 2], [0, 0, 1.0]])


def _scaling(factors: np.ndarray) -> np.ndarray:
    """The matrix (3, 3) that makes x and y so many times as large."""
    return np.diag([*factors, 1.0])


def unit_of(size: tuple[int, int], grid: tuple[float, float]) -> np.ndarray:
    """Pixels of a clip (height, width) to a field unit, along x and y."""
    return np.array([size[1] / grid[1], size[0] / grid[0]])


def camera_matrix(motion: LayeredMotion, size: tuple[int, int], time: float) -> np.ndarray:
    """The matrix (3, 3) of the camera at a time, of places off the centre in pixels of a clip (height, width)."""
    unit = unit_of(size, motion.grid)
    camera = np.asarray(motion.camera(time), np.float64)
    linear = camera[:, :2] * unit[:, None] / unit
    return np.vstack([np.column_stack([linear, camera[:, 2] * unit]), [0.0, 0.0, 1.0]])
