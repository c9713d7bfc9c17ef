"""A motion in a run: an adapter, how strongly it acts, when, and on which subject."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from ..adapters.adapter import MIVAAdapter
from ..adapters.degree import check_degree
from ..attention.strength import Level, Strength, check_strength
from ..bases.base import Base
from ..errors import MIVAError
from .said import Said

_NAMELESS = "motion"


@dataclass(frozen=True, eq=False)
class Motion:
    """A motion as it is to act in a run of `animate`.

    Attributes:
        adapter: its parameters, made for the base of the run.
        strength: for all its parts a number, 1 as it was trained, a `Curve` over the run or over the clip's frames, or
            several, whose product counts; or a `Strength` with one for each part. Strengths that sum to 1 are the most
            stable; what is missing to 1 is the base's own motion. Below 0 a motion is not reversed, and above 2 it
            turns back.
        mask: (H, W) in [0, 1], where its subject is in the picture; for each adapter with a mask stream, and for no
            other. Of overlapping masks the last motion's is on top.
        name: what messages and `Clip.masks` call it; "motion" if it has none, with a number where a name repeats.
        span: (start, end) with 0 <= start < end <= 1, shares of the run's steps in which it acts, see
            `Injection.set_spans`; outside of it its strength is 0.
        words: which motion, for an adapter that holds several: words that the base knows, or a text (words, d_text) as
            the base's texts are encoded. None says nothing.
        degree: how fast it is, from 0, the slowest motion that its adapter has learnt, to 1, the fastest; None is as it
            was trained. For adapters with a degree alone.

    Raises:
        MIVAError: the adapter, the strength, the name, the words or the degree are something else, or the adapter hears
            no words or has no degree.

    Example:
        >>> Motion(pan, Strength(temporal=1.5))
        >>> Motion(pan, Curve(((0.0, 0.0), (0.5, 1.0)), "cosine", "frames"))
        >>> Motion(pan, degree=0.3)
        >>> Motion(MIVAAdapter.load("jump_masked.safetensors", base.backbone), mask=mask, name="jump")
        >>> Motion(MIVAAdapter.load("camera_words.safetensors", base.backbone), words="zoom in")
    """

    adapter: MIVAAdapter
    strength: Level | Strength = 1.0
    mask: Tensor | None = None
    name: str | None = None
    span: tuple[float, float] = (0.0, 1.0)
    words: str | Tensor | None = None
    degree: float | None = None

    def __post_init__(self) -> None:
        if self.name is not None and not isinstance(self.name, str):
            raise MIVAError(f"The name of a motion is {self.name!r}, expected a text, as in Motion(pan, name='pan').")
        if not isinstance(self.adapter, MIVAAdapter):
            name = "The motion" if self.name is None else self.name
            raise MIVAError(f"{name} is a {type(self.adapter).__name__}, expected a MIVAAdapter.")
        name = "the motion" if self.name is None else self.name
        check_strength(name, self.strength)
        check_degree(name, self.degree, self.adapter.degree)
        self._check_words()

    def _check_words(self) -> None:
        name = "The motion" if self.name is None else self.name
        if not isinstance(self.words, str | Tensor | None):
            raise MIVAError(f"The words of {name} are a {type(self.words).__name__}, expected a text.")
        if self.words is not None and not self.adapter.config.words:
            raise MIVAError(
                f"{name} was trained without words, and hears none: leave them out, or take one that hears words."
            )

    @property
    def acts(self) -> bool:
        """Whether it changes anything, in its span."""
        return Strength.of(self.strength).acts


def named(motions: Sequence[Motion | Said]) -> dict[str, Motion | Said]:
    """Give every motion a name of its own.

    Args:
        motions: some of one name, or of none.

    Returns:
        The motions by their names, which they hold, too; in the same order.

    Raises:
        MIVAError: they are something else than motions.
    """
    _check(motions)
    names = unique_names([_name(motion) for motion in motions])
    return {name: replace(motion, name=name) for name, motion in zip(names, motions, strict=True)}


def _name(motion: Motion | Said) -> str:
    if isinstance(motion, Said):
        return motion.label
    return _NAMELESS if motion.name is None else motion.name


def adapters_among(motions: Mapping[str, Motion | Said]) -> dict[str, Motion]:
    """Those that are adapters, by name."""
    return {name: motion for name, motion in motions.items() if isinstance(motion, Motion)}


def said_among(motions: Mapping[str, Motion | Said]) -> dict[str, Said]:
    """Those that are said to the base, by name."""
    return {name: motion for name, motion in motions.items() if isinstance(motion, Said)}


def base_for(base: Base, motions: Sequence[Motion | Said], seed: int) -> Base:
    """Choose the caption that a base runs under.

    Args:
        base: any.
        motions: those of the run.
        seed: of the run; it draws the caption.

    Returns:
        The base itself; where no adapter acts and nothing is said, be it at the speed 0, under one of its captions,
        unless it has one already, see `Base.with_drawn_caption`.
    """
    idle = not any(isinstance(motion, Said) or motion.acts for motion in motions)
    return base.with_drawn_caption(seed) if idle and not base.under_caption else base


def unique_names(names: Sequence[str]) -> list[str]:
    """The names, with a number where they repeat."""
    numbered = [name if names.count(name) == 1 else f"{name} ({k})" for k, name in enumerate(names, start=1)]
    return numbered if len(set(numbered)) == len(names) else [f"{name} #{k}" for k, name in enumerate(names, start=1)]


def _check(motions: Any) -> None:
    if not isinstance(motions, Sequence):
        raise MIVAError(f"The motions are a {type(motions).__name__}, expected a list of Motion, as in [Motion(pan)].")
    for motion in motions:
        if not isinstance(motion, Motion | Said):
            raise MIVAError(f"A motion is a {type(motion).__name__}, expected a Motion, as in Motion(pan, 0.5).")
