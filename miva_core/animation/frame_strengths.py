"""Strengths over the frames of a clip, as a base needs them to follow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from ..attention.curve import Curve
from ..attention.strength import Level, Strength, curves_of


def frame_shares(length: int, segment: int, segments: int) -> list[float]:
    """The shares of the clip at the latent frames of one of its segments.

    Args:
        length: latent frames of a segment, which begins with the last one of the segment before it.
        segment: its number, from 0.
        segments: of the clip.
    """
    last = segments * (length - 1)
    return [(segment * (length - 1) + k) / last for k in range(length)]


def reached(strength: Level | Strength, shares: Sequence[float]) -> Strength:
    """A strength for a base that answers the whole way of each frame since the first one.

    So that the motion's speed follows a curve over frames, frame k gets the mean of the curve over frames 2 to k.

    Args:
        strength: how strongly the motion is to act in each frame.
        shares: of the clip, at the frames of the coming run; two or more.
    """
    parts = Strength.of(strength)
    if not parts.over_frames:
        return parts
    cross_frame, prompt, temporal = (_reached(level, shares) for level in parts.by_part())
    return replace(parts, cross_frame=cross_frame, prompt=prompt, temporal=temporal)


def _reached(level: Level, shares: Sequence[float]) -> Level:
    curves = curves_of(level)
    over_frames = [curve for curve in curves if curve.over == "frames"]
    if not over_frames:
        return level
    speeds = [math.prod(curve.at(share) for curve in over_frames) for share in shares[1:]]
    means = [way / k for k, way in enumerate(accumulate(speeds), start=1)]
    points = zip(shares, [means[0], *means], strict=True)
    return [*(curve for curve in curves if curve.over != "frames"), Curve(tuple(points), over="frames")]
