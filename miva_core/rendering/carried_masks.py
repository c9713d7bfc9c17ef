"""Where subjects are in the frames of a coarse flow: their masks of frame 1, carried along by it."""

import cv2
import numpy as np

CORE = 0.7
"""Of a carried mask: what lies below is partly the ground."""
_MOVING = 1.0
"""Pixels of the grid: what moves less uncovers no more than a rim."""
_SLOW = 0.4
"""Share of a subject's own speed below which a pixel belongs to what it uncovered."""


def carry_mask(mask: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Carry a mask of frame 1 along a flow.

    Args:
        mask: (H, W) in [0, 1], of any size; it covers what the flow covers.
        flow: (F, h, w, 2), see `flow_fit`.

    Returns:
        (F, h, w) float32.
    """
    height, width = flow.shape[1:3]
    small = cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([cv2.remap(small, x + f[..., 0], y + f[..., 1], cv2.INTER_LINEAR) for f in flow])


def away_from(masks: np.ndarray) -> np.ndarray:
    """Find what is two pixels away from a subject, then and in frame 1.

    Flow of the ground beside a subject is partly the subject's, at both places.

    Args:
        masks: (F, h, w) of the subject, see `carry_mask`.

    Returns:
        (F, h, w) in [0, 1]: 1 where a pixel belongs to the ground alone.
    """
    first = cv2.dilate(masks[0], np.ones((3, 3)))
    near = np.stack([np.maximum(cv2.dilate(mask, np.ones((5, 5))), first) for mask in masks])
    return 1 - np.clip(2 * near, 0, 1)


def without_uncovered(weight: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Leave out the ground that a subject has uncovered: it still points to where the subject was in frame 1.

    Args:
        weight: (F, h, w), where the subject is, as carried along.
        own: (F, h, w), by how many pixels the flow differs from the ground's.

    Returns:
        (F, h, w): none of it where a subject moves and a pixel does not.
    """
    kept = weight.copy()
    for frame, speed in zip(kept, own, strict=True):
        typical = np.quantile(speed[frame > 0], 0.75) if frame.any() else 0.0
        if typical > _MOVING:
            frame[speed < _SLOW * typical] = 0
    return kept
