"""Fine detail for what was filled smoothly: taken from where the picture has the same colours and as much detail."""

import cv2
import numpy as np

from .push_pull import push_pull

_FINE = 0.006
"""What is finer than this share of the picture's longer side is detail."""
_STRENGTH = 0.8
"""A little less detail than there is elsewhere: sharp where nothing is known draws the eye."""
_SIDE = 256
"""Pixels of the longer side at which places are compared."""
_SHIFTS, _ACROSS, _DOWN = 96, 0.3, 0.06
"""How many shifts are tried, and how far they reach, in shares of the longer side: what lies as high looks alike."""
_PATCH = 0.03
"""Within this share of the longer side detail comes from one place."""
_UNKNOWN = 0.3
"""Added to a mean squared difference of colours where a place is not known."""
_OUTLIER = 3
"""Detail is held within so many times its usual size."""


def texture(picture: np.ndarray, smooth: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Find detail for a hole that was filled smoothly.

    A shift map (Pritch, Kav-Venaki and Peleg, "Shift-Map Image Editing", ICCV 2009) of a fixed choice of shifts, for
    the detail alone, whose seams do not show.

    Args:
        picture: (H, W, 3) float32 in [0, 1].
        smooth: (H, W, 3), the picture with its hole filled.
        hole: (H, W) bool.

    Returns:
        (N, 3) float32 for the pixels of the hole in the order of `smooth[hole]`, to be added to them.
    """
    known = (~hole).astype(np.float32)
    sigma = _FINE * max(hole.shape)
    low = cv2.GaussianBlur(picture * known[..., None], (0, 0), sigma) / _held(cv2.GaussianBlur(known, (0, 0), sigma))
    detail = (picture - low) * known[..., None]
    small = _small_size(hole)
    known_small = cv2.resize(known, small, interpolation=cv2.INTER_AREA)
    # Means of roots: an outline somewhere makes no texture.
    roots = cv2.resize(np.sqrt(np.abs(detail).mean(-1)), small, interpolation=cv2.INTER_AREA)
    roots = roots / np.maximum(known_small, 1e-3)
    contrast = cv2.blur(push_pull(roots[..., None], known_small < 0.5), (5, 5)) ** 2
    colours = cv2.resize(np.where(hole[..., None], smooth, low), small, interpolation=cv2.INTER_AREA)
    shifts = best_shifts(np.dstack([colours, contrast]), known_small > 1 - 1e-3)
    taken, usual = _taken(detail, shifts, contrast, hole)
    return _STRENGTH * np.clip(taken, -_OUTLIER * usual, _OUTLIER * usual)


def _taken(
    detail: np.ndarray, shifts: np.ndarray, contrast: np.ndarray, hole: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The detail (N, 3) for the pixels of a hole, and its usual size (N, 1).

    Both are mixed from the four nearest shifts, which lie on a coarser grid, so that no seam is straight.
    """
    pixels = np.stack(np.nonzero(hole), 1)
    scale = np.array(contrast.shape) / hole.shape
    place = np.clip((pixels + 0.5) * scale - 0.5, 0, np.array(contrast.shape) - 1)
    first = place.astype(int)
    share = (place - first).astype(np.float32)
    taken, usual = np.zeros((len(pixels), 3), np.float32), np.zeros((len(pixels), 1), np.float32)
    for corner in np.ndindex(2, 2):
        cell = tuple(np.minimum(first + corner, np.array(contrast.shape) - 1).T)
        weight = np.abs(1 - np.array(corner) - share).prod(1, keepdims=True)
        there = np.clip(np.rint(pixels + shifts[cell] / scale).astype(int), 0, np.array(hole.shape) - 1)
        taken += weight * detail[tuple(there.T)]
        usual += weight * contrast[cell][:, None]
    return taken, usual


def best_shifts(features: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Find for each pixel where the picture looks alike and is known.

    Args:
        features: (h, w, C) float32, compared by their squared difference around a pixel.
        known: (h, w) bool.

    Returns:
        (h, w, 2) int, rows and columns from a pixel to the place.
    """
    height, width = known.shape
    longest, random = max(known.shape), np.random.default_rng(0)
    tried = random.uniform(-_ACROSS, _ACROSS, _SHIFTS), random.normal(0, _DOWN, _SHIFTS)
    best, shifts = np.full(known.shape, np.inf, np.float32), np.zeros((height, width, 2), int)
    for across, down in np.rint(np.stack(tried, 1) * longest).astype(int):
        matrix = np.array([[1, 0, -across], [0, 1, -down]], np.float32)
        there, is_known = (
            cv2.warpAffine(plane, matrix, (width, height)) for plane in (features, known.astype(np.float32))
        )
        unlike = ((there - features) ** 2).sum(-1) + _UNKNOWN * (1 - is_known)
        cost = cv2.GaussianBlur(np.where(known, 0, unlike), (0, 0), _PATCH * longest) + _UNKNOWN * (1 - is_known)
        shifts[cost < best] = down, across
        best = np.minimum(best, cost)
    return shifts


def _held(weight: np.ndarray) -> np.ndarray:
    return np.maximum(weight, 1e-4)[..., None]


def _small_size(hole: np.ndarray) -> tuple[int, int]:
    """(width, height) at which places are compared."""
    scale = min(1.0, _SIDE / max(hole.shape))
    return max(1, round(scale * hole.shape[1])), max(1, round(scale * hole.shape[0]))
