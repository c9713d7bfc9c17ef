"""A number that changes in the course of a run, or of a clip."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

from ..checks import is_number, is_strength
from ..errors import MIVAError

Between = Literal["hold", "linear", "cosine"]
Over = Literal["steps", "noise", "frames"]


@dataclass(frozen=True)
class Curve:
    """A number that changes in the course of a run, or of a clip.

    Before its first point and after its last one it has their values.

    Args:
        points: (share, value), with shares that rise in [0, 1] and values from -1e6 to 1e6.
        between: how it goes from point to point: it stays at the value of the last one until the next ("hold"), or goes
            on a straight line ("linear") or on half a wave of a cosine, with rest at both ends ("cosine").
        over: what the shares are of: "steps", those of the run that are done, i/n at step i of n, counted from 0;
            "noise", the noise that is gone, see `noise_share`; "frames", the clip, k/(F - 1) at frame k of F, counted
            from 0.

    Raises:
        MIVAError: there are no points, or they are not as above.

    Example:
        >>> ease_in = Curve(((0.0, 0.0), (0.5, 1.0)), "cosine", "frames")
        >>> miva.set_weights(pan=ease_in, jump=Curve.span(1.0, 0.0, 0.5))
    """

    points: tuple[tuple[float, float], ...]
    between: Between = "linear"
    over: Over = "steps"

    def __post_init__(self) -> None:
        _check_choice("goes between its points by", self.between, get_args(Between))
        _check_choice("is over", self.over, get_args(Over))
        _check_points(self.points)
        # Lists would be no part of a frozen value.
        object.__setattr__(self, "points", tuple((share, value) for share, value in self.points))

    @classmethod
    def span(cls, value: float, start: float, end: float) -> Curve:
        """One value in a part of the run, and 0 before and after it.

        Args:
            value: from -1e6 to 1e6.
            start: share of the run's steps, below `end`.
            end: share of the run's steps, above 0; 1 is the end of the run.
        """
        before = [(0.0, 0.0)] if start > 0 else []
        after = [(end, 0.0)] if end < 1 else []
        return cls((*before, (start, value), *after), "hold")

    @classmethod
    def more_early(cls, early: float = 1.5, late: float = 1.0) -> Curve:
        """More motion in the first half of the run's steps, where it takes shape, than in the second.

        Args:
            early: value in the first half.
            late: value in the second half.
        """
        return cls(((0.0, early), (0.5, late)), "hold")

    @classmethod
    def edg(cls, alpha: float = 0.25, beta_d: float = 0.75, alpha_c: float = 1.0, beta_c: float = 0.25) -> Curve:
        """The schedule of Extrapolating and Decoupling (EDG), stage 3, which switches when half of the noise is gone.

        EDG runs θ_pre + β_d (θ_dyn - θ_pre) first, with θ_dyn = θ_pre - α Δ, and α_c θ_sft + β_c Δ then, where
        Δ = θ_sft - θ_pre is what was learned: -α β_d = -0.1875 times and α_c + β_c = 1.25 times that.

        Args:
            alpha: α, how far the first half is extrapolated away from what was learned.
            beta_d: β_d, the share of that which counts.
            alpha_c: α_c, the share of the trained weights in the second half.
            beta_c: β_c, what is added to them.
        """
        return cls(((0.0, -alpha * beta_d), (0.5, alpha_c + beta_c)), "hold", "noise")

    @classmethod
    def of_values(cls, values: Sequence[float], over: Over = "frames") -> Curve:
        """One value for each step of a run, or for each frame of a clip.

        Runs and clips of another length get the same curve, stretched.

        Args:
            values: over steps those of step 1, 2, …, each held until the next; else at evenly spread shares from 0 to
                1, with straight lines between.
            over: see `Curve`.

        Raises:
            MIVAError: there are none, or they are no numbers from -1e6 to 1e6.
        """
        parts = len(values) if over == "steps" else max(1, len(values) - 1)
        points = tuple((i / parts, value) for i, value in enumerate(values))
        return cls(points, "hold" if over == "steps" else "linear", over)

    def at(self, share: float) -> float:
        """The value at a share in [0, 1] of what the curve is over."""
        after = bisect_right(self.points, share, key=lambda point: point[0])
        if after in (0, len(self.points)) or self.between == "hold":
            return self.points[max(0, after - 1)][1]
        (start, value), (end, following) = self.points[after - 1 : after + 1]
        done = (share - start) / (end - start)
        done = done if self.between == "linear" else (1 - math.cos(math.pi * done)) / 2
        return value + done * (following - value)

    @property
    def values(self) -> tuple[float, ...]:
        """Those of its points; all others lie between two of them."""
        return tuple(value for _, value in self.points)


def _check_choice(what: str, chosen: Any, choices: Sequence[str]) -> None:
    if chosen not in choices:
        raise MIVAError(f"A curve {what} {chosen!r}, expected one of {', '.join(choices)}.")


_PAIRS = "pairs (share, value), as in ((0, 1.5), (1, 1))"


def _check_points(points: Any) -> None:
    if not isinstance(points, Sequence) or not all(isinstance(point, Sequence) for point in points):
        raise MIVAError(f"The points of a curve are {points!r}, expected {_PAIRS}.")
    if not points:
        raise MIVAError("A curve has no points: give it at least one, as in ((0, 1.5), (1, 1)).")
    for point in points:
        if len(point) != 2 or not is_number(point[0]) or not 0 <= point[0] <= 1 or not is_strength(point[1]):
            raise MIVAError(
                f"A point of a curve is {tuple(point)}, expected a share from 0 to 1 and a value from -1e6 to 1e6."
            )
    shares = [share for share, _ in points]
    if any(share >= following for share, following in pairwise(shares)):
        raise MIVAError(f"The points of a curve lie at {', '.join(f'{share:g}' for share in shares)}: let them rise.")
