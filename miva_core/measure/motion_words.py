"""Which way a clip moves, in words."""

import math
from collections.abc import Sequence

import numpy as np

from .frame_steps import Step

_PART = 0.2
"""Share of a clip's motion from which on a part of it is named."""
_STEADY = 0.5
"""How far a motion must come, of the way that it goes, to have a direction rather than to go to and fro."""
_ONE_SIDED = 2.4
"""Ratio of the sides of a shift, the tangent of 67.5°, from which on it is along one of them."""
_OF_CAMERA, _EXTENT = 0.7, 0.5
"""Share of a clip's motion that a camera's moves explain, and share of the picture that moves, from which on they are
named."""

_ACROSS = {-1: ("to the left", "pans right"), 1: ("to the right", "pans left")}
_ALONG = {-1: ("up", "pans down"), 1: ("down", "pans up")}
_GROWTH = {-1: ("shrinking", "draws back"), 1: ("growing", "comes closer"), 0: ("growing and shrinking", "")}
_TURN = {
    -1: ("turning counter-clockwise", "rolls clockwise"),
    1: ("turning clockwise", "rolls counter-clockwise"),
    0: ("turning to and fro", ""),
}


def motion_words(steps: Sequence[Step], camera: bool) -> str:
    """Say which way something moves.

    Args:
        steps: from frame to frame, at least one that moves.
        camera: whether it is all of the picture, so that a camera may have made the motion.

    Returns:
        Such as "to the right and growing, as when a camera pans left and comes closer".
    """
    power = max(sum(step.power for step in steps), 1e-12)
    shifts = np.array([step.shift for step in steps])
    growths = np.array([step.growth * step.reach for step in steps])
    turns = np.array([step.turn * step.reach for step in steps])
    parts = [
        ((shifts**2).sum() / power, _shift_words(shifts)),
        ((growths**2).sum() / power, _GROWTH[_side(growths)]),
        ((turns**2).sum() / power, _TURN[_side(turns)]),
    ]
    named = [words for share, words in sorted(parts, key=lambda part: -part[0]) if share >= _PART]
    if not named:
        return "in several directions"
    seen, made = (" and ".join(part[k] for part in named) for k in (0, 1))
    extent = float(np.mean([step.extent for step in steps]))
    likely = sum(share for share, _ in parts) >= _OF_CAMERA and extent >= _EXTENT
    by_camera = camera and likely and all(part[1] for part in named)
    return f"{seen}, as when a camera {made}" if by_camera else seen


def _side(amounts: np.ndarray) -> int:
    """1 or -1 for a motion that comes far to this side, 0 for one to and fro."""
    mean, way = float(amounts.mean()), math.sqrt(float((amounts**2).mean()))
    return 0 if abs(mean) < _STEADY * way else (1 if mean > 0 else -1)


def _shift_words(shifts: np.ndarray) -> tuple[str, str]:
    """What shifts (N, 2) of a picture are, and the camera's move that makes them, empty where they go to and fro."""
    across, along = np.sqrt((shifts**2).mean(0))
    mean = shifts.mean(0)
    if np.hypot(*mean) < _STEADY * np.hypot(across, along):
        if along > _ONE_SIDED * across:
            return "up and down", ""
        return ("left and right", "") if across > _ONE_SIDED * along else ("to and fro", "")
    x, y = abs(mean)
    chosen = [_ALONG[1 if mean[1] > 0 else -1]] if y * _ONE_SIDED > x else []
    chosen += [_ACROSS[1 if mean[0] > 0 else -1]] if x * _ONE_SIDED > y else []
    return " and ".join(part[0] for part in chosen), " and ".join(part[1] for part in chosen)
