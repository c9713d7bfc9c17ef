"""Motions as people write them on the command line: a name, a weight, the part of the run they act in, a mask."""

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from .errors import MIVAError


class Motion(NamedTuple):
    """A motion as it was asked for: name or file, weight, and the span of the run's steps in which it acts."""

    name: str
    weight: float
    span: tuple[float, float] = (0.0, 1.0)


def parse_motion(text: str) -> Motion:
    """The text "pan_left:0.5@0-0.4" as ("pan_left", 0.5, (0, 0.4)); number and span may be missing.

    Raises:
        MIVAError: the number or the span is none.
    """
    name, at, shares = text.rpartition("@")
    if not at or text.endswith(".safetensors"):
        return Motion(*_split_weight(text))
    start, end = 0.0, 0.0
    with contextlib.suppress(ValueError):
        start, end = (float(share) for share in shares.split("-"))
    if not (name and 0 <= start < end <= 1):
        raise MIVAError(
            f"{text!r} has no span to act in: write two shares of the run, from 0 to 1, as in pan_left:0.5@0.4-1."
        )
    return Motion(*_split_weight(name), (start, end))


def parse_mask(text: str) -> tuple[str, Path]:
    """The text "jump=mask.png" as ("jump", Path("mask.png")).

    Raises:
        MIVAError: the name or the file is missing.
    """
    name, _, path = text.partition("=")
    if not name or not path:
        raise MIVAError(f"{text!r} names no mask of a motion: write its name, = and a picture, as in jump=mask.png.")
    return name, Path(path)


def weight_sums(motions: Sequence[Motion]) -> list[float]:
    """The different sums of weights that a run goes through."""
    starts = {0.0} | {share for motion in motions for share in motion.span if share < 1}
    sums = (sum(m.weight for m in motions if m.span[0] <= start < m.span[1]) for start in sorted(starts))
    return list(dict.fromkeys(sums))


def unique_names(stems: Sequence[str]) -> list[str]:
    """Names of files, with a number where they repeat."""
    names = [stem if stems.count(stem) == 1 else f"{stem} ({k})" for k, stem in enumerate(stems, start=1)]
    return names if len(set(names)) == len(names) else [f"{stem} #{k}" for k, stem in enumerate(stems, start=1)]


def _split_weight(text: str) -> tuple[str, float]:
    """The text "pan_left:0.5" as ("pan_left", 0.5); without a number the weight is 1."""
    name, colon, number = text.rpartition(":")
    if not colon or text.endswith(".safetensors"):
        return text, 1.0
    try:
        weight = float(number)
    except ValueError:
        weight = math.nan
    if not name or not math.isfinite(weight):
        raise MIVAError(f"{text!r} is no weighted adapter: write a name, a colon and a number, as in pan_left:0.5.")
    return name, weight
