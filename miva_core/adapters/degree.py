"""How much motion an adapter can make: the range of degrees that it has learnt, as its file tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

from ..checks import LARGEST, is_number, shown
from ..errors import MIVAError

Measure = Literal["flow", "ms-ssim"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
"""What a degree is measured by: the length of the optical flow, or 1 - MS-SSIM of neighbouring frames (MiraMo, A.4)."""
BUCKETS = 20
"""Equally many training windows are in each (MiraMo, A.4)."""


@dataclass(frozen=True)
class DegreeRange:
    """What degrees from 0, the slowest, to 1, the fastest, mean to an adapter.

    Args:
        measure: by which its training windows were put in order.
        edges: (19,) of that measure, between the buckets; not falling.
        speeds: (20,) mean length of the flow in each bucket, in pixels a frame at the size of training; not falling.
        usual: the degree that stands for "as trained", in [0, 1].

    Raises:
        MIVAError: one of them is something else.
    """

    measure: Measure
    edges: tuple[float, ...]
    speeds: tuple[float, ...]
    usual: float

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            raise MIVAError(f"The measure of the degree is {shown(self.measure)}, expected one of {list(MEASURES)}.")
        _check_rising("edges", self.edges, BUCKETS - 1)
        _check_rising("speeds", self.speeds, BUCKETS)
        if not (is_number(self.usual) and 0 <= self.usual <= 1):
            raise MIVAError(f"The usual degree is {shown(self.usual)}, expected a number from 0 to 1.")

    @classmethod
    def from_dict(cls, data: Any) -> DegreeRange:
        """A range from its fields by name, lists in place of tuples, as JSON gives them.

        Raises:
            MIVAError: a field is missing, unknown or out of range.
        """
        if not (isinstance(data, Mapping) and data.keys() == {"measure", "edges", "speeds", "usual"}):
            raise MIVAError(f"The degree is {shown(data)}, expected its measure, edges, speeds and usual degree.")
        lists: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
        }
        return cls(**lists)

    def centred(self, degree: float | None = None) -> float:
        """The u in [-1, 1] by which the adapter's perceptrons hear a degree, see `prompt.at_degree`.

        Args:
            degree: in [0, 1]; None for the usual one.
        """
        return 2 * (self.usual if degree is None else degree) - 1

    def speed(self, degree: float | None = None) -> float:
        """The speed of a degree, in pixels a frame at the size of training.

        Args:
            degree: in [0, 1]; None for the usual one.
        """
        place = (self.usual if degree is None else degree) * (BUCKETS - 1)
        low = min(int(place), BUCKETS - 2)
        return self.speeds[low] + (place - low) * (self.speeds[low + 1] - self.speeds[low])


def check_degree(name: str, degree: Any, known: DegreeRange | None) -> None:
    """Check what a user gives as the degree of an adapter.

    Args:
        name: what messages call the adapter.
        degree: a number, or None for the usual one, which every adapter has.
        known: what its degrees mean; None for an adapter without any.

    Raises:
        MIVAError: the adapter has none, or it is no number from 0 to 1.
    """
    if degree is None:
        return
    if known is None:
        raise MIVAError(
            f"{name} was trained without a degree: leave its degree out (in Load MIVA: -1) and change its weight, or "
            "take a motion with one."
        )
    if not (is_number(degree) and 0 <= degree <= 1):
        raise MIVAError(
            f"The degree of {name} is {shown(degree)}, expected a number from 0, its slowest motion, to 1, its fastest "
            "(in Load MIVA also -1: as it was trained)."
        )


def _check_rising(name: str, values: Any, count: int) -> None:
    rising = (
        isinstance(values, Sequence)
        and len(values) == count
        and all(is_number(value) and 0 <= value <= LARGEST for value in values)
        and all(a <= b for a, b in pairwise(values))
    )
    if not rising:
        raise MIVAError(
            f"The {name} of the degree are {shown(values)}, expected {count} numbers from 0 on that do not fall."
        )
