"""A wide blur, made at a coarser size where that cannot be seen."""

import cv2
import numpy as np


def blurred(plane: np.ndarray, sigma: float) -> np.ndarray:
    """Blur a picture (H, W, C), or a plane (H, W), by a Gaussian of so many pixels, mirrored at the edges."""
    coarse = max(1, int(sigma / 2))
    size = tuple(max(1, side // coarse) for side in plane.shape[1::-1])
    small = cv2.resize(plane, size, interpolation=cv2.INTER_AREA) if coarse > 1 else plane
    small = cv2.GaussianBlur(small, (0, 0), sigma / coarse, borderType=cv2.BORDER_REFLECT_101)
    return cv2.resize(small, plane.shape[1::-1], interpolation=cv2.INTER_LINEAR) if coarse > 1 else small
