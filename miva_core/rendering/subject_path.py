"""The way of a subject over the ground: as far as its few pixels of flow can tell."""

from dataclasses import dataclass

import numpy as np

from .flow_fit import centred_grid, held
from .path import SimilarityPath, similarity_matrix

STILL = 0.5
"""Pixels of the grid: growing or turning at its edge, or shifting, by less is an error of the base's flow."""


@dataclass(frozen=True, eq=False)
class SubjectPath(SimilarityPath):
    """The way of a subject, which grows and turns about its own middle.

    Only so does its middle stay in place where the grid of the flow shows the frame squashed.

    Attributes:
        pivot: (2,) x, y of its middle in frame 1, off the frame's centre as shares of width and height.
    """

    pivot: np.ndarray

    def matrix(self, time: float, size: tuple[int, int]) -> np.ndarray:
        """Compute the matrix (3, 3) from a place of the ground to the one of frame 1 that is seen there.

        Args:
            time: from 0 on, in frames.
            size: (height, width) of the frame in pixels.
        """
        log_scale, angle, *shift = self.at(time)
        turned = similarity_matrix(np.array([log_scale, angle, 0, 0]), size)
        return _shifted(self.pivot, size) @ turned @ _shifted(shift - self.pivot, size)


def subject_path(
    similarities: np.ndarray, camera: SimilarityPath, weight: np.ndarray, still: float = STILL
) -> SubjectPath:
    """Find what a subject does by itself.

    Unlike a camera it may jump, so that nothing is smoothed in time.

    Args:
        similarities: (F, 4) of its flow into frame 1, from `fit_similarities`.
        camera: the motion of the ground.
        weight: (F, h, w), where the subject is in each frame.
        still: pixels of the grid; what moves its edge by less is an error of the flow.

    Returns:
        Its way, without what of growing, turning and shifting along each axis the subject hardly does. Where its flow
        is not known it stays on the ground as it was before.
    """
    height, width = weight.shape[1:]
    scales, shifts = _complex(similarities, (height, width))
    ground_scales, ground_shifts = _complex(camera.similarities, (height, width))
    grid = centred_grid(height, width)
    points = grid[..., 0] + 1j * grid[..., 1]
    total = np.maximum(weight.sum((1, 2)), 1e-6)
    middle = (weight * points).sum((1, 2)) / total
    pivot = middle[0]
    # That of a disc with the same spread.
    radius = np.sqrt(2 * (weight[0] * np.abs(points - pivot) ** 2).sum() / total[0])

    own = _significant(held(np.log(scales / ground_scales)), radius, still)
    # The middle of what is seen goes where it was fitted to go.
    on_ground = ground_scales * middle + ground_shifts
    in_frame_1 = scales * middle + shifts
    shift = _significant(held(pivot + (in_frame_1 - pivot) / np.exp(own) - on_ground), 1, still)
    values = np.stack([own.real, own.imag, shift.real / width, shift.imag / height], axis=1)
    return SubjectPath(values, np.array([pivot.real / width, pivot.imag / height]))


def _significant(values: np.ndarray, reach: float, still: float) -> np.ndarray:
    """Drop the real or imaginary part of values (F,) where it moves nothing far enough to be told from noise.

    Args:
        values: of any unit.
        reach: pixels of the grid that one unit moves something by.
        still: those below which that is noise.
    """
    real, imaginary = (part * (np.abs(part * reach).max() >= still) for part in (values.real, values.imag))
    return real + 1j * imaginary


def _complex(similarities: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Similarities (F, 4) as z -> scale z + shift of complex places, in pixels of a grid of a size (h, w)."""
    log_scale, angle, x, y = similarities.T
    return np.exp(log_scale + 1j * angle), x * size[1] + 1j * y * size[0]


def _shifted(share: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The matrix (3, 3) that shifts by shares (x, y) of a size (h, w)."""
    return similarity_matrix(np.array([0, 0, *share]), size)
