"""Motions as people write them on the command line: a name, a weight, the part of the run they act in, a mask."""

import contextlib
import math
import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import MIVAError


class Motion(NamedTuple):
    """A motion as it was asked for: name or file, weight, and the span of the run's steps in which it acts."""

    name: str
    weight: float
    span: tuple[float, float] = (0.0, 1.0)


# A path may hold @ and colons itself: what stands behind its ending is the rest, or else what looks like a number.
_FILE = re.compile(r"(?P<name>.*\.safetensors)(:(?P<weight>[^@]*))?(@(?P<span>.*))?", re.IGNORECASE | re.DOTALL)
_NAME = re.compile(r"(?P<name>.*?)(:(?P<weight>[^:@/\\]*))?(@(?P<span>([\d.-][^@/\\]*)?))?", re.DOTALL)


def parse_motion(text: str) -> Motion:
    """The text "pan_left:0.5@0-0.4" as ("pan_left", 0.5, (0, 0.4)); number and span may be missing.

    Raises:
        MIVAError: the number or the span is none.
    """
    found = _FILE.fullmatch(text) or _NAME.fullmatch(text)
    name, weight, span = found["name"], found["weight"], found["span"]
    acting = (0.0, 1.0) if span is None else _span(name, span, text)
    return Motion(name, _weight(name, weight, text), acting)


def parse_mask(text: str, names: Collection[str] = ()) -> tuple[str, Path]:
    """The text "jump=mask.png" as ("jump", Path("mask.png")); a ~ in front of the file is the home folder.

    Args:
        names: of the motions; one may hold = itself.

    Raises:
        MIVAError: the name or the file is missing.
    """
    parts = text.split("=")
    splits = [("=".join(parts[:k]), "=".join(parts[k:])) for k in range(1, len(parts))] or [("", "")]
    name, path = next((split for split in reversed(splits) if split[0] in names), splits[0])
    if not name or not path:
        raise MIVAError(f"{text!r} names no mask of a motion: write its name, = and a picture, as in jump=mask.png.")
    return name, Path(os.path.expanduser(path))


def weight_sums(motions: Sequence[Motion]) -> list[float]:
    """The different sums of weights that a run goes through."""
    starts = {0.0} | {share for motion in motions for share in motion.span if share < 1}
    sums = (sum(m.weight for m in motions if m.span[0] <= start < m.span[1]) for start in sorted(starts))
    return list(dict.fromkeys(sums))


def unique_names(stems: Sequence[str]) -> list[str]:
    """Names of files, with a number where they repeat."""
    names = [stem if stems.count(stem) == 1 else f"{stem} ({k})" for k, stem in enumerate(stems, start=1)]
    return names if len(set(names)) == len(names) else [f"{stem} #{k}" for k, stem in enumerate(stems, start=1)]


def _weight(name: str, number: str | None, text: str) -> float:
    """What "0.5" says; without a number the weight is 1."""
    weight = 1.0 if number is None else math.nan
    with contextlib.suppress(ValueError, TypeError):
        weight = float(number)
    if not name or not math.isfinite(weight):
        raise MIVAError(f"{text!r} is no weighted adapter: write a name, a colon and a number, as in pan_left:0.5.")
    return weight


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
