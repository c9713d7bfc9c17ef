"""A hole filled by means of what is known: the smoothest guess, and the fastest."""

import cv2
import numpy as np


def push_pull(planes: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Fill a hole with means of what is known, coarser the farther it is: Gortler et al., "The Lumigraph", 1996.

    Args:
        planes: (H, W, C) float32.
        hole: (H, W) bool.

    Returns:
        (H, W, C) float32, as it was outside of the hole.
    """
    height, width = hole.shape
    if not hole.any() or height * width == 1:
        return planes
    half, known = ((width + 1) // 2, (height + 1) // 2), (~hole).astype(np.float32)
    weight = cv2.resize(known, half, interpolation=cv2.INTER_AREA)
    means = _resized(planes * known[..., None], half, cv2.INTER_AREA) / np.maximum(weight, 1e-6)[..., None]
    coarse = push_pull(means, weight <= 0)
    return np.where(hole[..., None], _resized(coarse, (width, height), cv2.INTER_LINEAR), planes)


def _resized(planes: np.ndarray, size: tuple[int, int], how: int) -> np.ndarray:
    """OpenCV drops the last axis where it has one plane."""
    return cv2.resize(planes, size, interpolation=how).reshape(size[1], size[0], -1)
