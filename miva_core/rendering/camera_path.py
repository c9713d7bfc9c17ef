"""The way of the camera: without tremor, and at rest where it hardly moves."""

import numpy as np

from .path import SimilarityPath

_STILL = 0.35
"""Pixels of the grid: a camera that moves the frame's edge by less stands still."""
_OFF = 1.0
"""Pixels of the grid: a cubic that is off by more is not what the camera does."""
_LOCAL_MEAN = np.array([-3, 12, 17, 12, -3]) / 35
"""The middle of a parabola fitted to five frames (Savitzky and Golay 1964)."""


def steady_camera(similarities: np.ndarray, size: tuple[int, int]) -> SimilarityPath:
    """Take the tremor out of a camera that was fitted frame by frame.

    Args:
        similarities: (F, 4), from `fit_similarities`.
        size: (height, width) of the flow's grid in pixels.

    Returns:
        A cubic in time, where that is what the camera does; else a local mean. All zero where it stands still.
    """
    # By how many pixels each of the four numbers moves the edge of the frame.
    reach = np.array([size[1] / 2, size[1] / 2, size[1], size[0]])
    smooth = _cubic(similarities)
    if np.abs((smooth - similarities) * reach).max() > _OFF:
        smooth = _local_means(similarities)
    moves = np.abs(smooth * reach).sum(1).max() > _STILL
    return SimilarityPath(smooth if moves else np.zeros_like(smooth))


def _cubic(values: np.ndarray) -> np.ndarray:
    """The cubic in time through 0 at the first frame that fits values (F, 4) best."""
    time = np.arange(len(values)) / len(values)
    powers = np.stack([time, time**2, time**3], axis=1)
    return powers @ np.linalg.lstsq(powers, values, rcond=None)[0]


def _local_means(values: np.ndarray) -> np.ndarray:
    """Values (F, 4), at least six, smoothed in time; the first frame stays at rest."""
    before, after = -values[2:0:-1], 2 * values[-1] - values[-2:-4:-1]
    padded = np.concatenate([before, values, after])
    smooth = np.stack([np.convolve(column, _LOCAL_MEAN, "valid") for column in padded.T], axis=1)
    return smooth - smooth[0]
