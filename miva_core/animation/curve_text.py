"""Curves as people write them: shares and values, or a value for each step or frame."""

import contextlib
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, get_args

from ..attention.curve import Between, Curve, Over
from ..attention.strength import Level, Part, Strength, product
from ..checks import shown
from ..errors import MIVAError

_WHOLE: dict[Over, str] = {"steps": "run", "noise": "run", "frames": "clip"}
_HINT = "write shares and strengths, as in 0:1.5, 0.5:1, or strengths alone, as in 0, 1, 0"
_PARTS = {part.label: part for part in Part}


class StrengthText(NamedTuple):
    """What a text says of how strongly a motion acts.

    Attributes:
        name: of the motion.
        curve: over the run, or over the clip.
        parts: of the motion, to which it applies.
    """

    name: str
    curve: Curve
    parts: tuple[Part, ...] = tuple(Part)


def parse_curve(text: str, over: Over, between: Between | None = None) -> Curve:
    """Read a curve as people type it.

    Args:
        text: points "share:value", or values alone, which lie evenly; with commas, semicolons or line breaks between.
        over: what the shares are of.
        between: how it goes from point to point; None holds each value over a run, and goes on a straight line over a
            clip.

    Returns:
        The curve, as in Curve(((0, 1.5), (0.5, 1)), "hold") for "0:1.5, 0.5:1".

    Raises:
        MIVAError: there are no points, one is no numbers or lies beyond the run or clip, or they do not rise.
    """
    points = _split(text)
    if not any(points):
        raise MIVAError(f"A curve without points was given: {_HINT}.")
    if not all(points):
        raise MIVAError(f"A point is missing beside a comma of {shown(text)}: {_HINT}.")
    if any(":" in point for point in points):
        shared = tuple(_point(point, over) for point in points)
        curve = Curve(shared, "linear" if over == "frames" else "hold", over)
    else:
        curve = Curve.of_values([_number(point) for point in points], over)
    return curve if between is None else replace(curve, between=between)


def parse_strength(text: str, over: Over) -> StrengthText:
    """Read how strongly a motion acts in the course of a run or clip, as people type it.

    Args:
        text: the motion's name, = and a curve; then, after slashes, how it goes from point to point, and parts of the
            motion, to which it applies alone.
        over: as in `parse_curve`.

    Returns:
        As in ("pan_left", Curve(((0, 1.5), (0.5, 1)), "linear"), (Part.PROMPT,)) for
        "pan_left=0:1.5,0.5:1/linear/prompt".

    Raises:
        MIVAError: the name is missing, a word behind a slash is unknown, two say how it goes, or as from `parse_curve`.
    """
    name, given, curve = text.rpartition("=")
    if not name or not given:
        raise MIVAError(f"{text!r} names no motion: write its name, = and a curve, as in pan_left=0:1.5,0.5:1.")
    points, *words = (word.strip() for word in curve.split("/"))
    ways: tuple[Between, ...] = get_args(Between)
    for word in words:
        if word not in (*ways, *_PARTS):
            raise MIVAError(f"{word!r} in {text!r} is unknown: after a slash stands {', '.join((*ways, *_PARTS))}.")
    said = [way for way in ways if way in words]
    if len(said) > 1:
        raise MIVAError(f"A curve goes from point to point in one way, but {text!r} says {' and '.join(said)}.")
    parts = tuple(part for word, part in _PARTS.items() if word in words)
    return StrengthText(name, parse_curve(points, over, *said), parts or tuple(Part))


def combined(weight: float, curves: Sequence[StrengthText]) -> float | Strength:
    """Put together how strongly a motion acts: its weight, times all curves that are given for it.

    Args:
        weight: of all its parts.
        curves: of one motion.

    Returns:
        The weight alone, or a strength with a level for each part.

    Raises:
        MIVAError: there are two curves over the run, or over the clip, for one part.
    """
    if not curves:
        return weight
    return Strength(*(_product(weight, [one for one in curves if part in one.parts]) for part in Part))


def _product(weight: float, curves: Sequence[StrengthText]) -> Level:
    """The level of one part."""
    wholes = [_WHOLE[one.curve.over] for one in curves]
    if twice := next((whole for whole in wholes if wholes.count(whole) > 1), None):
        raise MIVAError(
            f"Two strengths over the {twice} are given for {curves[0].name}: give one, or one for each of its parts, "
            f"as in {curves[0].name}=0:1.5,0.5:1/prompt."
        )
    levels = [one.curve.values[0] if len(one.curve.points) == 1 else one.curve for one in curves]
    return product(weight, *levels)


def _split(text: str) -> list[str]:
    """Texts of points. A line may end with a comma, or be empty."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return [point.strip() for line in lines for point in re.split("[,;]", line[:-1] if line[-1] in ",;" else line)]


def _point(text: str, over: Over) -> tuple[float, float]:
    share, _, value = text.partition(":")
    place = _number(share, text)
    if not 0 <= place <= 1:
        raise MIVAError(
            f"The point {text} lies beyond the {_WHOLE[over]}: its share goes from 0, the beginning, to 1, the end."
        )
    return place, _number(value, text)


def _number(text: str, point: str | None = None) -> float:
    number = math.nan
    with contextlib.suppress(ValueError):
        number = float(text)
    if not math.isfinite(number):
        raise MIVAError(f"{point or text!r} is no point of a curve: {_HINT}.")
    return number
