"""The way that a layer takes in time: a similarity at any moment, not only at the flow's frames."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class SimilarityPath:
    """Similarities in time, interpolated without overshooting, and going on at their last speed beyond the end.

    Attributes:
        similarities: (F, 4) float64 at the times 0 to F - 1: log scale, angle, x, y, as in `fit_similarities`.
    """

    similarities: np.ndarray

    def __len__(self) -> int:
        return len(self.similarities)

    @property
    def at_rest(self) -> bool:
        """Whether nothing ever moves."""
        return not self.similarities.any()

    def at(self, time: float) -> np.ndarray:
        """Compute the similarity (4,) at a time from 0 on: log scale, angle, x, y.

        Monotone cubic between frames (Fritsch and Butland 1984): smooth, and what jumps does not sink into the ground
        where it lands. From the last frame on all four go on in straight lines.
        """
        values, last = self.similarities, len(self) - 1
        if not last:
            return values[0]
        steps = np.diff(values, axis=0)
        if time >= last:
            return values[-1] + (time - last) * steps[-1]
        i = int(time)
        return _hermite(values[i], values[i + 1], _slope(steps, i), _slope(steps, i + 1), time - i)

    def matrix(self, time: float, size: tuple[int, int]) -> np.ndarray:
        """Compute the similarity as a matrix (3, 3) of places x, y, 1 in pixels off the centre of a frame.

        Args:
            time: from 0 on, in frames.
            size: (height, width) of the frame in pixels.

        Returns:
            float64; it sends a place at that time to the one of frame 1 that it shows.
        """
        return similarity_matrix(self.at(time), size)


def similarity_matrix(similarity: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Write a similarity (4,) as a matrix, see `SimilarityPath.matrix`."""
    log_scale, angle, x, y = similarity
    cos, sin = (math.exp(log_scale) * f(angle) for f in (math.cos, math.sin))
    return np.array([[cos, -sin, x * size[1]], [sin, cos, y * size[0]], [0, 0, 1]])


def _slope(steps: np.ndarray, i: int) -> np.ndarray:
    """The slope at frame i: the harmonic mean of both steps beside it, none where they have different signs."""
    if i in (0, len(steps)):
        return steps[min(i, len(steps) - 1)]
    before, after = steps[i - 1], steps[i]
    total = before + after
    return np.where(before * after > 0, 2 * before * after / np.where(total == 0, 1, total), 0.0)


def _hermite(start: np.ndarray, end: np.ndarray, leaving: np.ndarray, arriving: np.ndarray, f: float) -> np.ndarray:
    """The cubic from f = 0 to 1 with these ends and slopes."""
    return (
        (1 + 2 * f) * (1 - f) ** 2 * start
        + f * (1 - f) ** 2 * leaving
        + f**2 * (3 - 2 * f) * end
        + f**2 * (f - 1) * arriving
    )
