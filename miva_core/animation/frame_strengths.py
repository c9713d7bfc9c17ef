"""Strengths over the frames of a clip, as a base needs them to follow."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

import numpy as np

from ..attention.curve import Curve
from ..attention.strength import Level, Strength, curves_of
from ..bases.base import Base, Response
from ..checks import LARGEST_STRENGTH
from .motion import Motion


def frame_shares(length: int, segment: int = 0, segments: int = 1) -> list[float]:
    """The shares of the clip at the latent frames of one of its segments.

    Args:
        length: latent frames of a segment, which begins with the last one of the segment before it.
        segment: its number, from 0.
        segments: of the clip.
    """
    last = segments * (length - 1)
    return [(segment * (length - 1) + k) / last for k in range(length)]


def reached(base: Base, motions: Mapping[str, Motion], shares: Sequence[float]) -> dict[str, Strength]:
    """The strengths by which motions follow their curves over frames in a segment, which is a clip of its own.

    A base that predicts a flow into frame 1 answers the whole way of each frame since then. So that a motion's *speed*
    in frame k is what it has at the curve's value there, frame k gets the weight whose speed is the mean of those of
    frames 2 to k. A masked motion, which comes back to where its subject was, gets the value itself, as all motions do
    on other bases: it is as large as the curve says.

    Args:
        base: of the run.
        motions: by name.
        shares: of the whole clip, at the frames of the segment; two or more.

    Returns:
        Those of the motions with a curve over frames, by curves over the frames of the segment.
    """
    changing = {name: motion for name, motion in motions.items() if Strength.of(motion.strength).over_frames}
    return {
        name: _within(Strength.of(motion.strength), shares, base.response if _adds_up(base, motion) else None)
        for name, motion in changing.items()
    }


def asked_ways(base: Base, motions: Iterable[Motion], length: int) -> np.ndarray | None:
    """The ways that a camera may take, as far as curves over frames tell them.

    Args:
        base: of the run.
        motions: that act together.
        length: frames of the base's clip.

    Returns:
        (F, m) float64, from 0 in frames at the usual speed; None where no curve changes the speed.
    """
    moving = [Strength.of(motion.strength) for motion in motions if motion.acts and _adds_up(base, motion)]
    if not any(strength.over_frames for strength in moving):
        return None
    shares = frame_shares(length)
    levels = (level for strength in moving for level in strength.by_part())
    ways = dict.fromkeys((0.0, *accumulate(_speeds(level, shares, base.response))) for level in levels)
    return np.array(list(ways)).T


def _adds_up(base: Base, motion: Motion) -> bool:
    """Whether what a motion does in a frame is added to what it has done before."""
    return base.predicts_flow and not motion.adapter.config.mask


def _within(strength: Strength, shares: Sequence[float], response: Response | None) -> Strength:
    return Strength(*(_level_within(level, shares, response) for level in strength.by_part()))


def _level_within(level: Level, shares: Sequence[float], response: Response | None) -> Level:
    curves = curves_of(level)
    if not any(curve.over == "frames" for curve in curves):
        return level
    weights = _weights(level, shares) if response is None else _weights_by_speed(level, shares, response)
    bounded = [max(-LARGEST_STRENGTH, min(LARGEST_STRENGTH, weight)) for weight in weights]
    points = zip(frame_shares(len(shares)), bounded, strict=True)
    return [*(curve for curve in curves if curve.over != "frames"), Curve(tuple(points), over="frames")]


def _weights_by_speed(level: Level, shares: Sequence[float], response: Response) -> list[float]:
    """Those whose ways are the sums of the speeds that the curves ask for."""
    means = [way / k for k, way in enumerate(accumulate(_speeds(level, shares, response)), start=1)]
    weights = [_along([(speed, weight) for weight, speed in response], mean) for mean in means]
    return [weights[0], *weights]


def _speeds(level: Level, shares: Sequence[float], response: Response) -> list[float]:
    """Those of the frames from the second on, by the level's curves over frames alone."""
    return [_along(response, weight) for weight in _weights(level, shares[1:])]


def _weights(level: Level, shares: Sequence[float]) -> list[float]:
    """By the level's curves over frames alone."""
    over_frames = [curve for curve in curves_of(level) if curve.over == "frames"]
    return [math.prod(curve.at(share) for curve in over_frames) for share in shares]


def _along(points: Sequence[tuple[float, float]], x: float) -> float:
    """The value at x on straight lines through points, and beyond the first and the last."""
    k = min(max(bisect_right([place for place, _ in points], x), 1), len(points) - 1)
    (start, value), (end, following) = points[k - 1 : k + 1]
    return value + (x - start) / (end - start) * (following - value)
