"""The way of the camera: without tremor, and at rest where it hardly moves."""

import numpy as np

from .path import SimilarityPath

_STILL = 0.35
"""Pixels of the grid: growing, turning or shifting that moves the frame's edge by less is an error of the fit."""
_EXACT = 0.25
"""Pixels of the grid: a curve that is off by no more is what the camera does; the fit's errors are half of that."""
_WAVERING = 1.5
"""Pixels of the grid: beside a subject that moves, a base's camera of constant speed wavers by as much."""
_LOCAL_MEAN = np.array([-3, 12, 17, 12, -3]) / 35
"""The middle of a parabola fitted to five frames (Savitzky and Golay 1964)."""


def steady_camera(similarities: np.ndarray, size: tuple[int, int], asked: np.ndarray | None = None) -> SimilarityPath:
    """Take the tremor out of a camera that was fitted frame by frame.

    Args:
        similarities: (F, 4), from `fit_similarities`.
        size: (height, width) of the flow's grid in pixels.
        asked: (F, m), ways from 0 that the camera was to take, each at some speed; None where its speed was to be
            constant.

    Returns:
        For each of the four numbers the simplest curve that explains it: none, constant speed, a parabola or a cubic in
        time. What is none of these is a constant speed that wavers, or else a local mean. Where ways were asked for,
        their sum comes first.
    """
    # By how many pixels each of the four numbers moves the edge of the frame.
    reach = np.array([size[1] / 2, size[1] / 2, size[1], size[0]])
    steadied = [_steadied(way, asked) for way in (similarities * reach).T]
    return SimilarityPath(np.stack(steadied, axis=1) / reach)


def _steadied(way: np.ndarray, asked: np.ndarray | None) -> np.ndarray:
    """The simplest curve that explains a way (F,) in pixels, from 0 at the first frame."""
    smooth = _simplest(way) if asked is None else _fitted(way, asked)
    if np.abs(smooth - way).max() > _WAVERING:
        smooth = _local_means(way)
    return smooth if np.abs(smooth).max() >= _STILL else np.zeros_like(smooth)


def _simplest(way: np.ndarray) -> np.ndarray:
    """The polynomial of the lowest degree that explains a way (F,), or else constant speed."""
    curves = [_polynomial(way, degree) for degree in (1, 2, 3)]
    return next((curve for curve in curves if np.abs(curve - way).max() <= _EXACT), curves[0])


def _polynomial(way: np.ndarray, degree: int) -> np.ndarray:
    """The polynomial in time through 0 at the first frame that fits a way (F,) best."""
    time = np.arange(len(way)) / len(way)
    powers = np.stack([time**n for n in range(1, degree + 1)], axis=1)
    return _fitted(way, powers)


def _fitted(way: np.ndarray, curves: np.ndarray) -> np.ndarray:
    """The sum of curves (F, m) that fits a way (F,) best."""
    return curves @ np.linalg.lstsq(curves, way, rcond=None)[0]


def _local_means(way: np.ndarray) -> np.ndarray:
    """A way (F,), at least three frames long, smoothed in time; the first frame stays at rest."""
    before, after = -way[2:0:-1], 2 * way[-1] - way[-2:-4:-1]
    smooth = np.convolve(np.concatenate([before, way, after]), _LOCAL_MEAN, "valid")
    return smooth - smooth[0]
