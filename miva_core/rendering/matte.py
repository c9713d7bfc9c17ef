"""How much of each pixel is a subject's: a mask settled on the picture's own edges, and soft where those are soft."""

import cv2
import numpy as np

REACH = 0.006
"""How far the edge of a good mask may be off the subject's, as a share of the picture's longer side."""
MARGIN = 1.5 * REACH
"""How far the hole in the ground reaches beyond a mask, as a share of the picture's longer side.

A mask that misses a rim of the subject would leave it in the ground as a ghost.
"""
_LOOSE, _AROUND = 0.016, 0.025
"""The same for the edge of a loose mask, and for the colours around, by which it is settled."""
_DOUBT = 0.05
"""What the pixels at a mask's edge weigh, where those of the subject's middle and far from it weigh 1."""
_RARE = 0.01
"""Share of a window below which a side of the mask no longer weighs as much as the other."""
_OVERRULED = 0.5, 0.7
"""How far colours and mask must disagree on a pixel so that the colours begin to count, and count alone."""
_SMOOTHNESS, _LOOSE_SMOOTHNESS = 1e-4, 1e-3
"""Variance of colours in [0, 1] below which a window has no edge."""
_STRETCH = 1.1
"""The filter leaves a veil of a few hundredths inside and outside, which this takes off."""
_LONGEST_SIDE = 1024
"""Pixels; colours are compared at this size, which bounds time and memory."""


def matte(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Refine a mask to the picture's own edges.

    A mask that is loose, or misses a rim, is settled first. Then it is taken, around each pixel, for a linear function
    of the colours: He, Sun and Tang, "Guided Image Filtering", ECCV 2010, with a guide of three colours; its
    coefficients are found at no more than 1024 pixels a side, as in He and Sun, "Fast Guided Filter", 2015.

    Args:
        picture: (H, W, 3) float32 in [0, 1].
        mask: (H, W) float32 in [0, 1].

    Returns:
        (H, W) float32 in [0, 1].
    """
    height, width = mask.shape
    scale = min(1.0, _LONGEST_SIDE / max(mask.shape))
    size = max(1, round(scale * width)), max(1, round(scale * height))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    settled = settle(small, without_gaps(cv2.resize(mask, size, interpolation=cv2.INTER_AREA)))
    lines = fit_lines(small, settled, np.ones_like(settled), _pixels(REACH, settled), _SMOOTHNESS)
    refined = on_lines(picture, cv2.resize(lines, (width, height), interpolation=cv2.INTER_LINEAR))
    return np.clip((refined - 0.5) * _STRETCH + 0.5, 0, 1)


def without_gaps(mask: np.ndarray) -> np.ndarray:
    """Fill small holes of a mask, as GrabCut leaves in what is painted on a subject.

    Through those the ground would be seen where nothing of it is known, see `hole_around`.

    Args:
        mask: (H, W) float32 in [0, 1].

    Returns:
        (H, W) float32, 1 in each piece outside of the mask whose every pixel is within `MARGIN` of the mask.
    """
    outside = (mask <= 0.5).astype(np.uint8)
    count, pieces = cv2.connectedComponents(outside, connectivity=4)
    distance = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    farther = np.bincount(pieces.ravel(), distance.ravel() > MARGIN * max(mask.shape), count)
    return np.where((farther == 0)[pieces], np.float32(1), mask)


def settle(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Move a mask's edge to that of the subject where the colours clearly say that it is elsewhere.

    What is well inside or outside of the mask teaches the colours of both, window by window; of what lies near the
    mask's edge only that is changed which has clearly the other side's. So a foot in the colours of the ground is left.

    Args:
        picture: (H, W, 3) float32 in [0, 1].
        mask: (H, W) float32 in [0, 1].

    Returns:
        (H, W) float32 in [0, 1].
    """
    loose = _pixels(_LOOSE, mask)
    inside = (mask > 0.5).astype(np.uint8)
    depth = sum(cv2.distanceTransform(side, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for side in (inside, 1 - inside))
    # Thin parts are taught by their middle, however near to the edge it is.
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * loose + 1, 2 * loose + 1))
    middle = sum(cv2.dilate(depth * side, disc) * side for side in (inside, 1 - inside))
    weight = np.clip(depth / np.clip(middle, 1, loose), 0, 1) + np.float32(_DOUBT)
    around = _pixels(_AROUND, mask)
    lines = fit_lines(picture, mask, _balanced(weight, inside, around), around, _LOOSE_SMOOTHNESS)
    other = np.clip(on_lines(picture, lines), 0, 1)
    overruled = np.interp(np.abs(other - mask), _OVERRULED, (0, 1)) * np.interp(depth / loose, (0.7, 1), (1, 0))
    return (mask + (np.rint(other) - mask) * overruled).astype(np.float32)


def _balanced(weight: np.ndarray, inside: np.ndarray, radius: int) -> np.ndarray:
    """Weigh both sides of a mask alike in each window, or else the larger one would claim what is like neither."""
    window = (2 * radius + 1, 2 * radius + 1)
    sides = (weight * inside, weight * (1 - inside))
    return sum((side / np.maximum(cv2.blur(side, window), _RARE) for side in sides), np.zeros_like(weight))


def fit_lines(guide: np.ndarray, values: np.ndarray, weight: np.ndarray, radius: int, smoothness: float) -> np.ndarray:
    """Fit values as linear functions of a guide's colours, one in each square window, by weighted least squares.

    Args:
        guide: (H, W, 3) float32.
        values: (H, W) float32.
        weight: (H, W) float32 above 0.
        radius: of the windows, in pixels.
        smoothness: variance of the guide below which a window is taken for plain.

    Returns:
        (H, W, 4) float32: for each pixel the three slopes and the level, as the mean of all windows that it is in,
        weighted as their pixels are (He, Sun and Tang 2010, equations 14 and 15).
    """

    def mean(planes: np.ndarray) -> np.ndarray:
        return cv2.blur(planes, (2 * radius + 1, 2 * radius + 1))

    def weighted(planes: np.ndarray) -> np.ndarray:
        return mean(planes * weight[..., None]) / total[..., None]

    total = mean(weight)
    colour, level = weighted(guide), mean(values * weight) / total
    with_values = weighted(guide * values[..., None]) - colour * level[..., None]
    # Rows of the covariance matrices, held away from being singular.
    rows = [weighted(guide * guide[..., i : i + 1]) - colour * colour[..., i : i + 1] for i in range(3)]
    for i, row in enumerate(rows):
        row[..., i] += smoothness
    slopes = _solve(rows, with_values)
    lines = np.dstack([slopes, level - (slopes * colour).sum(-1)])
    return mean(lines * total[..., None]) / mean(total)[..., None]


def on_lines(guide: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """The values (H, W) at the colours of a guide (H, W, 3), see `fit_lines`."""
    return (lines[..., :3] * guide).sum(-1) + lines[..., 3]


def _solve(rows: list[np.ndarray], right: np.ndarray) -> np.ndarray:
    """Solve 3×3 systems, one for each pixel, whose symmetric matrices are given by their rows (H, W, 3): (H, W, 3)."""
    adjugate = [np.cross(rows[(i + 1) % 3], rows[(i + 2) % 3]) for i in range(3)]
    scaled = sum(part * right[..., i : i + 1] for i, part in enumerate(adjugate))
    return scaled / (rows[0] * adjugate[0]).sum(-1, keepdims=True)


def _pixels(share: float, plane: np.ndarray) -> int:
    return max(2, round(share * max(plane.shape)))
