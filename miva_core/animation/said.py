"""A motion without a file: one that the base knows by a word."""

from dataclasses import dataclass

from torch import Tensor

from ..attention.strength import Level, Strength, check_level, curves_of
from ..checks import is_line, is_number, shown
from ..errors import MIVAError


def as_speed(name: str, strength: Level | Strength) -> Level:
    """The strength of all parts of an adapter as the one speed that words have.

    Args:
        name: of the motion, for the message.
        strength: how strongly it is to act.

    Raises:
        MIVAError: its parts have several.
    """
    if not isinstance(strength, Strength):
        return strength
    levels = strength.by_part()
    if any(level != levels[0] for level in levels):
        raise MIVAError(f"{name} is said in words, which have one speed and no parts: give one strength for all parts.")
    return levels[0]


@dataclass(frozen=True, eq=False)
class Said:
    """A motion that is said to the base of a run in words that it knows, see `Vocabulary.words`.

    Attributes:
        text: a word of at most one for each slot, as "dolly in" or "pan left, shake".
        strength: its speed, 1 being as far in a frame as a camera motion of the strength 1 goes; below 0 it goes the
            other way round. A number, a `Curve` over the clip's frames, or several, whose product counts.
        mask: (H, W) in [0, 1], where in the picture it acts, for words that move a part of it.
        degree: in place of the speed 1, from 0, the slowest that the base was trained on, to 1, the fastest; `strength`
            is multiplied with it.
        name: what messages and `Clip.masks` call it; its text if it has none, with a number where a name repeats.

    Raises:
        MIVAError: one of them is something else. What the base knows is checked by `animate`.

    Example:
        >>> Said("dolly in", 0.6)
        >>> Said("drift left", 0.5, mask=sky)
        >>> Said("pan left", Curve(((0.0, 0.0), (1.0, 1.0)), over="frames"), degree=0.8)
    """

    text: str
    strength: Level = 1.0
    mask: Tensor | None = None
    degree: float | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if not is_line(self.text) or not self.text.strip():
            raise MIVAError(f"What is said to the base is {shown(self.text)}, expected words, as in Said('pan left').")
        if self.name is not None and not isinstance(self.name, str):
            raise MIVAError(f"The name of a motion is {self.name!r}, expected a text, as in Said('jump', name='cat').")
        check_level(self.label, self.strength)
        if any(curve.over != "frames" for curve in curves_of(self.strength)):
            raise MIVAError(
                f"The speed of {self.label} has a curve over the run: words change their speed over the frames of the "
                "clip alone, by --frames-strength, or in Python by Curve(points, over='frames')."
            )
        if self.degree is not None and not (is_number(self.degree) and 0 <= self.degree <= 1):
            raise MIVAError(f"The degree of {self.label} is {self.degree!r}, expected a number from 0 to 1.")

    @property
    def label(self) -> str:
        """What it is called."""
        return " ".join(self.text.split()) if self.name is None else self.name

    @property
    def acts(self) -> bool:
        """Whether it moves anything, at some time."""
        curves = curves_of(self.strength)
        return all(any(curve.values) for curve in curves) if curves else bool(self.strength)
