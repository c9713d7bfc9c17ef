"""The colours of a subject alone, without those of the background that shine through its soft edge."""

import cv2
import numpy as np

_WIDE, _NARROW = 1 / 12, 7
"""Sides of the two windows in which a subject's colour is averaged: a share of the longer side, and pixels."""
_WEIGHT_OF_WIDE = 0.01
"""What the mean of the wide window weighs in the narrow one, where a pixel of the subject's inside weighs 1."""


def cut_out(picture: np.ndarray, alpha: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Find the colours of a subject from its matte and what is behind it.

    Blur fusion (Forte and Pitié, "Approximate Fast Foreground Colour Estimation", ICIP 2021) for a background that is
    known: in a window the subject has the one colour that explains the picture best, by least squares, from which a
    pixel differs the more, the more of it is the subject's.

    Args:
        picture: (H, W, 3) float32 in [0, 1].
        alpha: (H, W) float32 in [0, 1], the subject's share of each pixel.
        background: (H, W, 3) float32 in [0, 1].

    Returns:
        (H, W, 3) float32 in [0, 1], so that `alpha * it + (1 - alpha) * background` is about the picture; continued
        smoothly where `alpha` is 0.
    """
    share = alpha[..., None]
    part = picture - (1 - share) * background
    wide = round(_WIDE * max(alpha.shape)) | 1
    colours = _mean_colour(part, alpha, wide, picture, 1e-5)
    colours = _mean_colour(part, alpha, _NARROW, colours, _WEIGHT_OF_WIDE)
    return np.clip(colours + share * (part - share * colours), 0, 1)


def _mean_colour(part: np.ndarray, alpha: np.ndarray, side: int, prior: np.ndarray, weight: float) -> np.ndarray:
    """Find the colour c in each window for which alpha * c is closest to a part of the picture, and c to a prior."""
    known = cv2.blur(part * alpha[..., None], (side, side))
    return (known + weight * prior) / (cv2.blur(alpha * alpha, (side, side)) + weight)[..., None]
