"""Motions as people write them on the command line: a name, a strength, the part of the run they act in, a mask."""

import contextlib
import math
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from ..errors import MIVAError


class MotionText(NamedTuple):
    """What a text says of a motion.

    Attributes:
        name: its name or file.
        strength: how strongly it acts, what people call its weight.
        span: (start, end), shares of the run's steps in which it acts.
    """

    name: str
    strength: float
    span: tuple[float, float] = (0.0, 1.0)


# A path may hold @ and colons itself: what stands behind its ending is the rest, or else what looks like a number.
_FILE = re.compile(r"(?P<name>.*\.safetensors)(:(?P<strength>[^@]*))?(@(?P<span>.*))?", re.IGNORECASE | re.DOTALL)
_NAME = re.compile(r"(?P<name>.*?)(:(?P<strength>[^:@/\\]*))?(@(?P<span>([\d.-][^@/\\]*)?))?", re.DOTALL)


def parse_motion(text: str) -> MotionText:
    """Read a motion as people type it.

    Args:
        text: name or file; a colon and a number; @ and a span. The last two may be missing.

    Returns:
        Name, strength and span, as in ("pan_left", 0.5, (0, 0.4)) for "pan_left:0.5@0-0.4".

    Raises:
        MIVAError: the number or the span is none.
    """
    found = _FILE.fullmatch(text) or _NAME.fullmatch(text)
    assert found, "any text has the form of a name"
    name, strength, span = found.group("name", "strength", "span")
    acting = (0.0, 1.0) if span is None else _span(name, span, text)
    return MotionText(name, _strength(name, strength, text), acting)


def parse_said(text: str) -> MotionText:
    """Read what is said to a base, as people type it.

    Args:
        text: words; = and a number, their speed, which may be missing.

    Returns:
        The words as a name, and the speed, as in ("dolly in", 0.6) for "dolly in=0.6".

    Raises:
        MIVAError: there are no words, or the number is none.
    """
    words, given, number = text.partition("=")
    speed = math.nan
    with contextlib.suppress(ValueError):
        speed = float(number) if given else 1.0
    if not words.strip() or ":" in words or not math.isfinite(speed):
        raise MIVAError(f'{text!r} says no motion: write words of the base, = and a speed, as in "dolly in=0.6".')
    return MotionText(" ".join(words.split()), speed)


def parse_mask(text: str, names: Collection[str]) -> tuple[str, Path]:
    """Read which mask belongs to which motion, as people type it.

    Args:
        text: the motion's name, = and a picture; a ~ in front of the picture is the home folder.
        names: of the motions; one may hold = itself.

    Returns:
        Name and picture, as in ("jump", Path("mask.png")) for "jump=mask.png".

    Raises:
        MIVAError: the name or the file is missing.
    """
    name, path = _split(text, names)
    if not name or not path:
        raise MIVAError(f"{text!r} names no mask of a motion: write its name, = and a picture, as in jump=mask.png.")
    return name, Path(os.path.expanduser(path))


def parse_words(text: str, names: Collection[str]) -> tuple[str, str]:
    """Read what is said to which motion, as people type it.

    Args:
        text: the motion's name, = and words.
        names: of the motions; one may hold = itself.

    Returns:
        Name and words, as in ("camera_words", "zoom in") for "camera_words=zoom in".

    Raises:
        MIVAError: the name or the words are missing.
    """
    name, words = _split(text, names)
    if not name or not words.strip():
        raise MIVAError(
            f'{text!r} says no words to a motion: write its name, = and the words, as in "camera_words=zoom in".'
        )
    return name, words


def parse_degree(text: str, names: Collection[str]) -> tuple[str, float]:
    """Read how fast a motion is to be, as people type it.

    Args:
        text: the motion's name, = and a number.
        names: of the motions; one may hold = itself.

    Returns:
        Name and number, as in ("pan_left", 0.6) for "pan_left=0.6".

    Raises:
        MIVAError: the name or the number is missing.
    """
    name, number = _split(text, names)
    degree = math.nan
    with contextlib.suppress(ValueError):
        degree = float(number)
    if not name or not math.isfinite(degree):
        raise MIVAError(f"{text!r} is no degree of a motion: write its name, = and a number, as in pan_left=0.6.")
    return name, degree


def _split(text: str, names: Collection[str]) -> tuple[str, str]:
    """What stands before and behind the = that follows a name; the first = if no name is known."""
    parts = text.split("=")
    splits = [("=".join(parts[:k]), "=".join(parts[k:])) for k in range(1, len(parts))] or [("", "")]
    return next((split for split in reversed(splits) if split[0] in names), splits[0])


def _strength(name: str, number: str | None, text: str) -> float:
    """What "0.5" says; without a number the strength is 1."""
    strength = math.nan
    with contextlib.suppress(ValueError):
        strength = 1.0 if number is None else float(number)
    if not name or not math.isfinite(strength):
        raise MIVAError(f"{text!r} is no weighted adapter: write a name, a colon and a number, as in pan_left:0.5.")
    return strength


def _span(name: str, shares: str, text: str) -> tuple[float, float]:
    """What "0-0.4" says."""
    start, end = 0.0, 0.0
    with contextlib.suppress(ValueError):
        start, end = (float(share) for share in shares.split("-"))
    if not (name and 0 <= start < end <= 1):
        raise MIVAError(
            f"{text!r} has no span to act in: write two shares of the run, from 0 to 1, as in pan_left:0.5@0.4-1."
        )
    return start, end
