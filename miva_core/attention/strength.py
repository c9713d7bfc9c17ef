"""How strongly an adapter acts, part by part, and in the course of a run and of a clip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

from ..checks import is_strength
from ..errors import MIVAError
from .curve import Curve

Level = float | Curve | Sequence[Curve]
"""How strongly a part acts: a number, a curve, or several curves, whose product it is."""


class Part(IntEnum):
    """The parts of an adapter that have a strength of their own, each in its place in `Context.strengths`."""

    CROSS_FRAME = 0
    PROMPT = 1
    TEMPORAL = 2

    @property
    def label(self) -> str:
        """As people write it, such as "cross-frame"."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True)
class Strength:
    """How strongly an adapter acts, 1 being as it was trained and 0 not at all; above 1 its motion is extrapolated.

    Each part has a number from -1e6 to 1e6, a `Curve` over the run or over the clip's frames, or several curves whose
    product it is.

    Args:
        cross_frame: of attention to the first and the previous frame, in every spatial self-attention (3.3.1).
        prompt: of the implicit prompt in place of text cross-attention (3.3.2).
        temporal: of the LoRA on temporal attention (3.3); bases without temporal attention, such as Wan, do not use it.

    Raises:
        MIVAError: one of them is something else.

    Example:
        >>> miva.set_weights(pan=Strength(temporal=1.5), jump=0.7)
        >>> miva.set_weights(pan=Strength.of(Curve(((0.0, 0.0), (1.0, 1.0)), over="frames")))
    """

    cross_frame: Level = 1.0
    prompt: Level = 1.0
    temporal: Level = 1.0

    def __post_init__(self) -> None:
        for part, level in zip(Part, self.by_part(), strict=True):
            if not _is_level(level):
                raise MIVAError(f"The {part.name.lower()} strength is {level!r}, expected {_LEVELS}.")
            if isinstance(level, Sequence):  # a list would be no part of a frozen value
                object.__setattr__(self, part.name.lower(), tuple(level))

    @classmethod
    def of(cls, strength: Level | Strength) -> Strength:
        """Part by part, what may be one level for all parts."""
        return strength if isinstance(strength, Strength) else cls(strength, strength, strength)

    @property
    def acts(self) -> bool:
        """Whether an adapter of this strength changes anything, at some time."""
        return any(_acts(level) for level in self.by_part())

    @property
    def constant(self) -> bool:
        """Whether every part has one number for all of a run and of a clip."""
        return not self.curves

    @property
    def over_frames(self) -> bool:
        """Whether it differs from frame to frame."""
        return any(curve.over == "frames" for curve in self.curves)

    @property
    def curves(self) -> tuple[Curve, ...]:
        """All curves in it, each once."""
        return tuple(dict.fromkeys(curve for level in self.by_part() for curve in curves_of(level)))

    def by_part(self) -> tuple[Level, ...]:
        """The levels in the order of `Part`."""
        return self.cross_frame, self.prompt, self.temporal

    def over_run(self) -> Strength:
        """The same without what changes from frame to frame."""
        return Strength(*(_over_run(level) for level in self.by_part()))

    def at(self, done: float, noise: float, frame: float = 0.0) -> tuple[float, ...]:
        """The strength of each part, in the order of `Part`, at one time and in one frame.

        Args:
            done: share of the run's steps that is done.
            noise: share of the noise that is gone, see `noise_share`.
            frame: share of the clip at the frame; without a curve over frames it changes nothing.
        """
        shares = {"steps": done, "noise": noise, "frames": frame}
        return tuple(_at(level, shares) for level in self.by_part())


def curves_of(level: Level) -> tuple[Curve, ...]:
    """The curves whose product a level is; none where it is a number."""
    if isinstance(level, Curve):
        return (level,)
    return tuple(level) if isinstance(level, Sequence) else ()


def level_at(level: Level, frame: float) -> float:
    """A level without curves over the run in one frame, at this share of the clip."""
    return _at(level, {"frames": frame})


def product(*levels: Level) -> Level:
    """Multiply levels, so that each is heard at any time and in any frame."""
    factor = math.prod(level for level in levels if isinstance(level, (int, float)))
    curves = [curve for level in levels for curve in curves_of(level)]
    if not curves:
        return factor
    if factor != 1:
        curves[0] = replace(curves[0], points=tuple((share, value * factor) for share, value in curves[0].points))
    return curves[0] if len(curves) == 1 else tuple(curves)


def check_strength(name: str, strength: Any) -> None:
    """Check what a user gives as the strength of an adapter.

    Args:
        name: what messages call the adapter.
        strength: a level for all its parts, or a `Strength`.

    Raises:
        MIVAError: it is neither, or out of range.
    """
    if not (isinstance(strength, Strength) or _is_level(strength)):
        raise MIVAError(f"The weight of {name} is {strength!r}, expected {_LEVELS}, or a Strength.")


def check_level(name: str, level: Any) -> None:
    """Check what a user gives as one level.

    Args:
        name: what messages call the motion.
        level: a number, a curve or several.

    Raises:
        MIVAError: it is something else, or out of range.
    """
    if not _is_level(level):
        raise MIVAError(f"The weight of {name} is {level!r}, expected {_LEVELS}.")


_LEVELS = "a number from -1e6 to 1e6, a Curve or a list of them"


def _is_level(value: Any) -> bool:
    if is_strength(value) or isinstance(value, Curve):
        return True
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    return is_list and len(value) > 0 and all(isinstance(curve, Curve) for curve in value)


def _acts(level: Level) -> bool:
    curves = curves_of(level)
    return all(any(curve.values) for curve in curves) if curves else bool(level)


def _over_run(level: Level) -> Level:
    curves = curves_of(level)
    return tuple(curve for curve in curves if curve.over != "frames") or 1.0 if curves else level


def _at(level: Level, shares: dict[str, float]) -> float:
    if isinstance(level, (int, float)):
        return level
    return math.prod(curve.at(shares[curve.over]) for curve in curves_of(level))
