"""Mattes: masks refined to the picture's edges."""

import numpy as np

from miva_core.rendering.matte import guided


def slow_guided(guide: np.ndarray, values: np.ndarray, radius: int, smoothness: float) -> np.ndarray:
    """In each window a straight line is fitted by least squares; a pixel gets the mean of all lines through it."""
    height, width = guide.shape
    far = np.pad(guide, radius, mode="reflect"), np.pad(values, radius, mode="reflect")
    lines = np.zeros((2, height, width))
    for y in range(height):
        for x in range(width):
            g, v = (one[y : y + 2 * radius + 1, x : x + 2 * radius + 1].ravel() for one in far)
            # The slope is held down by rows of their own, one for each pixel of the window.
            rows = np.stack([g, np.ones_like(g)], 1)
            held = np.stack([np.full_like(g, np.sqrt(smoothness)), np.zeros_like(g)], 1)
            lines[:, y, x] = np.linalg.lstsq(np.concatenate([rows, held]), np.append(v, 0 * v), rcond=None)[0]
    far_lines = np.pad(lines, ((0, 0), (radius, radius), (radius, radius)), mode="reflect")
    means = np.zeros((2, height, width))
    for y in range(height):
        for x in range(width):
            means[:, y, x] = far_lines[:, y : y + 2 * radius + 1, x : x + 2 * radius + 1].mean((1, 2))
    return means[0] * guide + means[1]


def test_the_guided_filter_is_a_line_fitted_in_each_window() -> None:
    random = np.random.default_rng(0)
    guide, values = random.random((2, 11, 14))
    made = guided(guide.astype(np.float32), values.astype(np.float32), 3, 0.01)
    np.testing.assert_allclose(made, slow_guided(guide, values, 3, 0.01), atol=1e-5)
