"""Similarities that explain a coarse backward flow, whatever else some of its pixels do.

Flows are (F, h, w, 2) float32 in pixels of their own grid, x first: pixel p of frame i shows what was at p + flow of
frame 1. A similarity is four numbers: log scale, angle in radians (clockwise on the screen), x and y as shares of the
frame's width and height. It turns and scales about the frame's centre, then shifts.
"""

import numpy as np

_ROUNDS = 6
_NOISE = 0.3
"""Pixels of the grid: what flows of the built-in U-Net are off by, inside of the picture."""
_FEWEST = 4.0
"""Pixels, by weight, below which no similarity is fitted."""


def centred_grid(height: int, width: int) -> np.ndarray:
    """The coordinates (h, w, 2) of pixels, x first, off the frame's centre."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([x - (width - 1) / 2, y - (height - 1) / 2], axis=-1)


def points_inside(flow: np.ndarray) -> np.ndarray:
    """Find the pixels of a flow (F, h, w, 2) that show something of the picture itself: (F, h, w) bool.

    What a base answers for the others was never taught: there was nothing to be seen.
    """
    height, width = flow.shape[1:3]
    places = np.abs(centred_grid(height, width) + flow)
    return (places[..., 0] <= width / 2) & (places[..., 1] <= height / 2)


def fit_similarities(flow: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Fit a similarity to each frame of a flow, robustly: by least squares, reweighted (Geman and McClure).

    Scale and angle are read as those of the full frame even where the grid shows it squashed: a base that sees a wide
    picture as a square turns the square.

    Args:
        flow: (F, h, w, 2).
        weight: (F, h, w) in [0, 1], how much a pixel counts.

    Returns:
        (F, 4) float64; the first frame is at rest, and a frame in which hardly anything counts is NaN.
    """
    fitted = [fit_similarity(*frame) for frame in zip(flow[1:], weight[1:], strict=True)]
    return np.stack([np.zeros(4), *fitted])


def fit_similarity(flow: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Fit a similarity to one frame (h, w, 2) of a flow, as `fit_similarities` does to each: (4,)."""
    height, width = weight.shape
    counts = weight.reshape(-1).astype(np.float64)
    if counts.sum() < _FEWEST:
        return np.full(4, np.nan)
    points = centred_grid(height, width).reshape(-1, 2).astype(np.float64)
    return _fit(points, flow.reshape(-1, 2).astype(np.float64), counts) / np.array([1, 1, width, height])


def held(values: np.ndarray) -> np.ndarray:
    """Take the last known values before frames in which they are NaN; the first frame is known.

    Args:
        values: (F,) or (F, N), real or complex.
    """
    known = ~np.isnan(values.reshape(len(values), -1)).any(1)
    return values[np.maximum.accumulate(np.where(known, np.arange(len(values)), 0))]


def _fit(points: np.ndarray, moves: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Log scale, angle, and shift in pixels, of moves (N, 2) at points (N, 2) that count so much (N,)."""
    u, v = points.T
    one, none = np.ones_like(u), np.zeros_like(u)
    # The rows of x first, then those of y; unknown are scale * cos - 1, scale * sin, and the shift.
    rows = np.concatenate([np.stack([u, -v, one, none], axis=1), np.stack([v, u, none, one], axis=1)])
    target = moves.T.reshape(-1)
    # A handful of pixels must not turn the world.
    doubt = np.diag([1.0, 1.0, 1e-6, 1e-6])
    kept, found = counts, np.zeros(4)
    for step in range(_ROUNDS):
        weighted = rows * np.tile(kept, 2)[:, None]
        found = np.linalg.solve(rows.T @ weighted + doubt, weighted.T @ target)
        off = ((rows @ found - target).reshape(2, -1) ** 2).sum(0)
        # Wide at first, so that a bad start finds the way to the pixels that agree.
        kept = counts / (1 + off / (_NOISE * 2 ** max(0, 3 - step)) ** 2) ** 2
    turn = np.log(1 + found[0] + 1j * found[1])
    return np.array([turn.real, turn.imag, found[2], found[3]])
