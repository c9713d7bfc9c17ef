"""What is odd about what is said to a base, in words."""

from collections.abc import Mapping

from torch import Tensor

from ..attention.strength import curves_of
from ..bases.base import Base
from ..media.nearness import NOT_DEEP, nearness_notes
from .captions import Word, degree_speed, find_words, moving_vocabulary
from .motion import Motion, said_among
from .said import Said


def said_notes(base: Base, motions: Mapping[str, Motion | Said], nearness: Tensor | None) -> list[str]:
    """Say what is odd about the words of a run, and about its depth map.

    Args:
        base: that of the run, which knows the words.
        motions: all of it, by name.
        nearness: see `RunOptions`.

    Returns:
        Sentences, none where all is usual.
    """
    said = said_among(motions)
    words = {name: find_words(base, name, one.text) for name, one in said.items()}
    deep = any(word.field is not None and word.field.kind == "depth" for found in words.values() for word in found)
    guided = any(isinstance(one, Motion) and one.adapter.config.guide == "nearness" for one in motions.values())
    return [
        *(note for name, one in said.items() for word in words[name] for note in _odd(base, name, one, word)),
        *_depth_notes(base, nearness, deep or guided),
    ]


def _odd(base: Base, name: str, one: Said, word: Word) -> list[str]:
    if not one.acts:
        return [f"{name} has the speed 0 and does nothing."]
    known = moving_vocabulary(base, name)
    factor = degree_speed(one.degree, known.speeds[word.name])
    speeds = [factor * value for value in _values(one)]
    notes = [] if one.degree is None else [f"{name} at degree {one.degree:g}: the speed {max(speeds, key=abs):.2f}."]
    notes += [*_speed_notes(name, speeds, known.speeds[word.name][1])]
    if word.slot in known.local and one.mask is None:
        notes.append(
            f"{name} has no mask, without which hardly anything but the whole picture moves on this base: mark what is "
            "to move."
        )
    return notes


def _values(one: Said) -> list[float]:
    """The strengths that it goes through, at the ends of all straight lines."""
    if isinstance(one.strength, int | float):
        return [one.strength]
    return [value for curve in curves_of(one.strength) for value in curve.values]


def _speed_notes(name: str, speeds: list[float], fastest: float) -> list[str]:
    notes = [f"{name} goes the other way round, at {min(speeds):g}."] if min(speeds) < 0 else []
    if max(map(abs, speeds)) > fastest + 1e-6:
        notes.append(
            f"{name} runs at a speed of {max(speeds, key=abs):g}; this base was trained up to {fastest:g}, and may be "
            "less exact."
        )
    return notes


def _depth_notes(base: Base, nearness: Tensor | None, deep: bool) -> list[str]:
    if nearness is None:
        missing = "No depth map is given, so that what is lower in the picture is taken for nearer: connect one."
        return [missing] if deep else []
    if not base.guided:
        return ["The depth map is not used: this base takes none."]
    if not deep:
        return [NOT_DEEP]
    return nearness_notes(nearness.float().reshape(nearness.shape[-3:] if nearness.ndim > 2 else nearness.shape))
