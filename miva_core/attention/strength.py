"""How strongly an adapter acts, part by part."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from ..checks import is_strength
from ..errors import MIVAError


class Part(IntEnum):
    """The parts of an adapter that have a strength of their own, each in its place in `Context.strengths`."""

    CROSS_FRAME = 0
    PROMPT = 1
    TEMPORAL = 2


@dataclass(frozen=True)
class Strength:
    """How strongly an adapter acts, 1 being as it was trained and 0 not at all; above 1 its motion is extrapolated.

    Args:
        cross_frame: of attention to the first and the previous frame, in every spatial self-attention (3.3.1).
        prompt: of the implicit prompt in place of text cross-attention (3.3.2).
        temporal: of the LoRA on temporal attention (3.3); bases without temporal attention, such as Wan, do not use it.

    Raises:
        MIVAError: one of them is no number from -1e6 to 1e6.

    Example:
        >>> miva.set_weights(pan=Strength(temporal=1.5), jump=0.7)
    """

    cross_frame: float = 1.0
    prompt: float = 1.0
    temporal: float = 1.0

    def __post_init__(self) -> None:
        for part in Part:
            name = part.name.lower()
            value = getattr(self, name)
            if not is_strength(value):
                raise MIVAError(f"The {name} strength is {value!r}, expected a number from -1e6 to 1e6.")

    @classmethod
    def of(cls, strength: float | Strength) -> Strength:
        """Part by part, what may be one number for all parts."""
        return strength if isinstance(strength, Strength) else cls(strength, strength, strength)

    @property
    def acts(self) -> bool:
        """Whether an adapter of this strength changes anything."""
        return any(self.by_part())

    def by_part(self) -> tuple[float, ...]:
        """The strengths in the order of `Part`."""
        return self.cross_frame, self.prompt, self.temporal


def check_strength(name: str, strength: Any) -> None:
    """Check what a user gives as the strength of an adapter.

    Args:
        name: what messages call the adapter.
        strength: a number for all its parts, or a `Strength`.

    Raises:
        MIVAError: it is neither, or out of range.
    """
    if not (isinstance(strength, Strength) or is_strength(strength)):
        raise MIVAError(f"The weight of {name} is {strength!r}, expected a number from -1e6 to 1e6, or a Strength.")
