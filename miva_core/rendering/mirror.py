"""What comes into view from beyond a picture: its mirror image, the softer the farther out."""

import cv2
import numpy as np

from .blur import blurred

_SOFT = ((0.012, 0.003), (0.06, 0.012))
"""Distances from the picture, and the standard deviation of the blur there, as shares of its longer side."""


def mirrored(picture: np.ndarray, rim: tuple[int, int, int, int]) -> np.ndarray:
    """Continue a picture beyond its edges.

    Args:
        picture: (H, W, C) float32.
        rim: pixels to add at the top, bottom, left and right, each less than the picture's side.

    Returns:
        (top + H + bottom, left + W + right, C): the picture itself, with a rim that loses its details outwards.
    """
    if not any(rim):
        return picture
    (height, width), longer = picture.shape[:2], max(picture.shape[:2])
    continued = cv2.copyMakeBorder(picture, *rim, cv2.BORDER_REFLECT_101)
    y, x = (np.arange(-rim[k], n + rim[k + 1], dtype=np.float32) for k, n in ((0, height), (2, width)))
    out = np.hypot(*np.meshgrid(_outside(x, width), _outside(y, height))) / longer
    result, start = continued.copy(), 0.0
    for end, sigma in _SOFT:
        share = np.clip((out - start) / (end - start), 0, 1)[..., None]
        result += (blurred(continued, sigma * longer) - result) * share
        start = end
    return result


def _outside(places: np.ndarray, side: int) -> np.ndarray:
    """How far places are from the nearest pixel of a side."""
    return np.maximum(np.maximum(-places, places - (side - 1)), 0)
