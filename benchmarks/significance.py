"""Whether a difference between two ways to make clips is one: paired scores of some seeds and pictures."""

import math
from dataclasses import dataclass

from mpmath import betainc
from torch import Tensor

UNSURE = 0.05
"""From this chance on that it comes of nothing, a difference does not count."""
SEEN = 0.1
"""dB of PSNR, or percent of colour drift, that a difference must have to count."""


def shown(values: Tensor) -> str:
    """Mean over pictures and seeds, and the spread of the seeds' means."""
    means = values.mean(1)
    spread = means.std().item() if len(means) > 1 else 0.0
    return f"{means.mean():.2f} ± {spread:.2f}"


@dataclass(frozen=True)
class Difference:
    """A mean, its standard error, and the degrees of freedom that the latter is known with."""

    mean: float
    error: float
    freedom: float

    @property
    def chance(self) -> float:
        """How often a mean so far from 0 would come of nothing (Welch's t-test, two-sided)."""
        if not self.error:
            return float(not self.mean)
        t = self.mean / self.error
        return float(betainc(self.freedom / 2, 0.5, 0, self.freedom / (self.freedom + t * t), regularized=True))


def difference(values: Tensor, usual: Tensor) -> Difference:
    """Of paired scores (seeds, pictures).

    Both what a seed does to all pictures and what a picture does under all seeds is chance: the variances of their
    means add up, and few seeds know little of theirs (Welch and Satterthwaite).
    """
    paired = (values - usual).double()
    parts = [(paired.mean(1 - axis).var().item() / n, n - 1) for axis, n in enumerate(paired.shape) if n > 1]
    variance = sum(part for part, _ in parts)
    freedom = variance**2 / sum(part**2 / free for part, free in parts) if variance else math.inf
    return Difference(paired.mean().item(), variance**0.5, freedom)


def shown_difference(values: Tensor, usual: Tensor) -> str:
    found = difference(values, usual)
    return f"{found.mean:+.2f} ± {found.error:.2f}"


def verdict(values: Tensor, usual: Tensor, adds: bool, seen: float = SEEN) -> str:
    """Whether a claim holds by the PSNR, or another measure, without or with what it is about; differences that nobody
    would see do not count."""
    found = difference(values, usual)
    if abs(found.mean) < seen or found.chance >= UNSURE:
        return "cannot tell"
    return "holds" if (found.mean > 0) == adds else "does not hold"


def rule(seen: str) -> str:
    """How `verdict` goes, in words."""
    return (
        f"a difference of less than {seen}, or one that would come of nothing in {UNSURE:.0%} of cases or more "
        "(Welch's t-test), tells nothing."
    )
