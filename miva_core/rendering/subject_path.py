"""The way of a subject over the ground: as far as its few pixels of flow can tell."""

import numpy as np

from .flow_fit import centred_grid
from .path import SimilarityPath

_STILL = 0.5
"""Pixels of the grid: growing or turning at its edge, or shifting, by less is an error of the fit."""


def subject_path(similarities: np.ndarray, camera: SimilarityPath, weight: np.ndarray) -> SimilarityPath:
    """Find what a subject does by itself.

    Unlike a camera it may jump, so that nothing is smoothed in time.

    Args:
        similarities: (F, 4) of its flow into frame 1, from `fit_similarities`.
        camera: the motion of the ground.
        weight: (F, h, w), where the subject is in each frame.

    Returns:
        Similarities that send a place of the ground where the subject is now to where it was in frame 1; without what
        of growing, turning and shifting along each axis the subject hardly does.
    """
    height, width = weight.shape[1:]
    scales, shifts = _complex(similarities, (height, width))
    ground_scales, ground_shifts = _complex(camera.similarities, (height, width))
    grid = centred_grid(height, width)
    points = grid[..., 0] + 1j * grid[..., 1]
    total = np.maximum(weight.sum((1, 2)), 1e-6)
    middle = (weight * points).sum((1, 2)) / total
    # That of a disc with the same spread.
    radius = np.sqrt(2 * (weight[0] * np.abs(points - middle[0]) ** 2).sum() / total[0])

    turns = np.exp(_significant(np.log(scales / ground_scales), radius))
    # The subject's middle goes where it was fitted to go.
    on_ground = ground_scales * middle + ground_shifts
    moved = on_ground + _significant(scales * middle + shifts - on_ground, 1)
    own = np.log(turns)
    shift = moved - turns * on_ground
    return SimilarityPath(np.stack([own.real, own.imag, shift.real / width, shift.imag / height], axis=1))


def _significant(values: np.ndarray, reach: float) -> np.ndarray:
    """Drop the real or imaginary part of values (F,) where it moves nothing far enough to be told from noise.

    Args:
        values: of any unit.
        reach: pixels of the grid that one unit moves something by.
    """
    real, imaginary = (part * (np.abs(part * reach).max() >= _STILL) for part in (values.real, values.imag))
    return real + 1j * imaginary


def _complex(similarities: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Similarities (F, 4) as z -> scale z + shift of complex places, in pixels of a grid of a size (h, w)."""
    log_scale, angle, x, y = similarities.T
    return np.exp(log_scale + 1j * angle), x * size[1] + 1j * y * size[0]
