"""How much of each pixel is a subject's: a mask made as sharp as the picture's edge, and soft where that is soft."""

import cv2
import numpy as np

REACH = 0.006
"""How far a mask's edge may be off the subject's, as a share of the picture's longer side."""
_SMOOTHNESS = 1e-4
"""Variance of grey levels in [0, 1] below which the picture has no edge for the matte to follow."""
_STRETCH = 1.1
"""The filter leaves a veil of a few hundredths inside and outside, which this takes off."""


def matte(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Refine a mask to the picture's own edges.

    Around each pixel the mask is taken for a linear function of the picture's grey levels: He, Sun and Tang, "Guided
    Image Filtering", ECCV 2010.

    Args:
        picture: (H, W, 3) float32 in [0, 1].
        mask: (H, W) float32 in [0, 1].

    Returns:
        (H, W) float32 in [0, 1].
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    refined = guided(grey, mask, max(2, round(REACH * max(mask.shape))))
    return np.clip((refined - 0.5) * _STRETCH + 0.5, 0, 1)


def guided(guide: np.ndarray, values: np.ndarray, radius: int, smoothness: float = _SMOOTHNESS) -> np.ndarray:
    """Filter values so that they have edges where a guide has them (He et al. 2010, equations 5, 6 and 8).

    Args:
        guide: (H, W) float32.
        values: (H, W) float32.
        radius: of the square windows, in pixels.
        smoothness: variance of the guide below which a window has no edge.

    Returns:
        (H, W) float32.
    """

    def mean(plane: np.ndarray) -> np.ndarray:
        return cv2.blur(plane, (2 * radius + 1, 2 * radius + 1))

    means, level = mean(guide), mean(values)
    slope = (mean(guide * values) - means * level) / (mean(guide * guide) - means * means + smoothness)
    return mean(slope) * guide + mean(level - slope * means)
