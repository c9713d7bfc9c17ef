"""What camera a clip has, read off a clip of a picture whose pixels say where they are.

A camera is told in complex numbers a and b: a frame shows at z, off its centre, the place a z + b of frame 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.full_size.pictures import SIDE
from miva_core.clips.camera import UNIT_MOVES
from miva_core.rendering.scene import SceneFrame

WORKING = 64
"""Pixels of the base's frame, the unit of speeds."""
READ = 20_000
"""So many pixels of a frame are read, scattered: a grid of them would beat with the steps that sampling rounds to."""


@dataclass(frozen=True)
class Camera:
    """What the frames of a clip show of frame 1, and the window they are seen through.

    Attributes:
        a: (F,) complex, scale and turn.
        b: (F,) complex, shift in pixels of the clip.
        zoom: share of the picture's sides that frame 1 shows.
        centre: complex, of that part, off the picture's, in pixels of the picture.
        beyond: how far any frame's corner lies beyond the picture's outermost pixels, in pixels; below 0 inside.
        marked: the most that any pixel shows of the picture's border, 0 to 1.
    """

    a: np.ndarray
    b: np.ndarray
    zoom: float
    centre: complex
    beyond: float
    marked: float


def off_centre(height: int, width: int) -> np.ndarray:
    """(H, W) complex: pixels off the centre of their frame."""
    y, x = np.mgrid[:height, :width]
    return x - (width - 1) / 2 + 1j * (y - (height - 1) / 2)


def own_places(height: int, width: int) -> Tensor:
    """A picture (H, W, 3): red says how far to the right a pixel is, green how far down, and blue marks the border."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    border = np.ones((height, width), np.float32)
    border[1:-1, 1:-1] = 0
    return torch.from_numpy(np.stack([(x + 0.5) / width, (y + 0.5) / height, border], -1))


def read_camera(frames: Sequence[Tensor]) -> Camera:
    """The camera of a clip of `own_places` that has the size of that picture."""
    height, width = frames[0].shape[:2]
    z = off_centre(height, width)
    corners, read = z[:: height - 1, :: width - 1], _scattered(height, width)
    fits = np.array([_similarity(z.flat[read], _places_shown(frame, read)) for frame in frames])
    ends = np.multiply.outer(fits[:, 0], corners) + fits[:, 1, None, None]
    over = max(np.abs(ends.real).max() - (width - 1) / 2, np.abs(ends.imag).max() - (height - 1) / 2)
    scale, shift = fits[:, 0], fits[:, 1]
    marked = max(float(frame[..., 2].max()) for frame in frames)
    return Camera(
        scale / scale[0], (shift - shift[0]) / scale[0], float(abs(scale[0])), complex(shift[0]), float(over), marked
    )


def _scattered(height: int, width: int) -> np.ndarray:
    """(READ,) indices of pixels."""
    return np.random.default_rng(0).integers(height * width, size=READ)


def _places_shown(frame: Tensor, read: np.ndarray) -> np.ndarray:
    """(READ,) complex: where pixels of a frame come from, off the picture's centre."""
    height, width = frame.shape[:2]
    red, green = frame.reshape(-1, 3)[read, :2].double().numpy().T - 0.5
    return red * width + 1j * green * height


def _similarity(z: np.ndarray, places: np.ndarray) -> tuple[complex, complex]:
    """The numbers a and b for which a z + b comes nearest to the places."""
    mean, off = places.mean(), z - z.mean()
    a = (off.conj() * (places - mean)).sum() / (np.abs(off) ** 2).sum()
    return a, mean - a * z.mean()


def progress(camera: Camera, move: str, height: int, width: int) -> np.ndarray:
    """(F,) how far the camera has come along a move, in frames of unit speed."""
    unit = UNIT_MOVES[move]
    if unit.zoom:
        return -np.log(np.abs(camera.a)) / unit.zoom
    if unit.roll:
        return np.angle(camera.a) / unit.roll
    x, y = unit.pan
    return camera.b.real * x / (width / WORKING) + camera.b.imag * y / (height / WORKING)


def speed_of(way: np.ndarray) -> float:
    """The constant speed that comes nearest to a way from `progress`, in unit moves."""
    return speed_along(way, np.arange(len(way)))


def speed_along(way: np.ndarray, unit: np.ndarray) -> float:
    """The speed whose way comes nearest to a way (F,), real or complex, given that of unit speed."""
    return float((unit.conj() * way).real.sum() / (np.abs(unit) ** 2).sum())


def subject_way(frames: Sequence[SceneFrame], name: str) -> np.ndarray:
    """(F,) complex: how far a subject of a clip of `own_places` has moved, in pixels: the mean of its inside."""
    return np.array([_moved(frame.pixels, frame.masks[name]) for frame in frames])


def _moved(pixels: Tensor, mask: Tensor) -> complex:
    height, width = mask.shape
    read = _scattered(height, width)
    read = read[mask.numpy().flat[read] > 0.999]
    return (off_centre(height, width).flat[read] - _places_shown(pixels, read)).mean()


def tremor_of(camera: Camera) -> float:
    """Root mean square of the third differences of the place that the frame's corner shows, in pixels."""
    path = camera.a * (SIDE / 2) * (1 + 1j) + camera.b
    return float(np.sqrt((np.abs(np.diff(path, 3)) ** 2).mean()))
