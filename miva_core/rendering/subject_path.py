"""The way of a subject over the ground: as far as its few pixels of flow can tell."""

import numpy as np

from .flow_fit import centred_grid
from .path import SimilarityPath

_STILL = 0.35
"""Pixels of the grid: a subject that moves, or that turns and grows at its edge, by less is not seen to do so."""


def subject_path(similarities: np.ndarray, camera: SimilarityPath, weight: np.ndarray) -> SimilarityPath:
    """Find what a subject does by itself.

    Unlike a camera it may jump, so that nothing is smoothed in time.

    Args:
        similarities: (F, 4) of its flow into frame 1, from `fit_similarities`.
        camera: the motion of the ground.
        weight: (F, h, w), where the subject is in each frame.

    Returns:
        Similarities that send a place of the ground where the subject is now to where it was in frame 1. They only
        shift where it hardly turns and grows, and are all zero where it rests on the ground.
    """
    height, width = weight.shape[1:]
    scales, shifts = _complex(similarities, (height, width))
    ground_scales, ground_shifts = _complex(camera.similarities, (height, width))
    grid = centred_grid(height, width)
    points = grid[..., 0] + 1j * grid[..., 1]
    total = np.maximum(weight.sum((1, 2)), 1e-6)
    middle = (weight * points).sum((1, 2)) / total
    radius = np.sqrt((weight[0] * np.abs(points - middle[0]) ** 2).sum() / total[0])

    turns = scales / ground_scales
    if (radius * np.abs(np.log(turns))).max() < _STILL:
        turns = np.ones_like(turns)
    # The subject's middle goes where it was fitted to go.
    on_ground = ground_scales * middle + ground_shifts
    moved = scales * middle + shifts
    if (turns == 1).all() and np.abs(moved - on_ground).max() < _STILL:
        moved = on_ground
    own = np.log(turns)
    shift = moved - turns * on_ground
    return SimilarityPath(np.stack([own.real, own.imag, shift.real / width, shift.imag / height], axis=1))


def _complex(similarities: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Similarities (F, 4) as z -> scale z + shift of complex places, in pixels of a grid of a size (h, w)."""
    log_scale, angle, x, y = similarities.T
    return np.exp(log_scale + 1j * angle), x * size[1] + 1j * y * size[0]
