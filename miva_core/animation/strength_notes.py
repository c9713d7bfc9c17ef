"""What is odd about how strongly the motions of a run act, in words."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from ..attention.curve import Curve
from ..attention.strength import Level, Strength, curves_of
from .motion import Motion

_FAR_FROM_ONE = 0.25
_STRONGEST = 2.0
"""Strength above which more makes a clip move less: pans go 0.9, 1.1, 0.95 and 0.6 pixels a frame at 1, 2, 3 and 5."""


def strength_notes(motions: Sequence[Motion]) -> list[str]:
    """Say what is odd about the strengths of motions; masked ones stand each for itself, the others for their sum.

    A `Strength` counts as one number, the mean of its parts. Of curves it is their highest point that counts: to fade a
    motion in or out is nothing odd.

    Args:
        motions: all of a run, with their names.

    Returns:
        Sentences, none where all is usual.
    """
    plain = [motion for motion in motions if motion.mask is None]
    masked = [motion for motion in motions if motion.mask is not None]
    outside = [note for asks in (_idle, _below_0, _beyond) for motion in motions for note in asks(motion)]
    return [*outside, *_alone(plain), *_sum(plain), *(note for motion in masked for note in _masked(motion))]


def list_notes(motions: Sequence[Motion], steps: int) -> list[str]:
    """Say that a run is too short for a list of strengths, so that some of them never act.

    Args:
        motions: all of the run, with their names.
        steps: how many it has.

    Returns:
        Sentences, or none.
    """
    longest = {motion.name: max(map(_listed, Strength.of(motion.strength).curves), default=0) for motion in motions}
    return [
        f"{name} has {count} strengths over {steps} step{'s' if steps > 1 else ''}, so that not all of them come up: "
        "give it fewer, or the run more steps."
        for name, count in longest.items()
        if count > steps
    ]


def strength_sums(motions: Sequence[Motion]) -> list[float]:
    """The different sums of strengths that a run goes through, as motions begin and end to act, and curves turn.

    Where they differ from frame to frame it is the lowest and the highest one.
    """
    sums = (end for _, row in _course(motions) for end in (row.min(), row.max()))
    return list(dict.fromkeys(map(float, sums)))


def _listed(curve: Curve) -> int:
    """How many strengths a curve lists, one a step; 0 for one that means something else."""
    # A part of the run, and more motion early, are two evenly spread values as well.
    is_list = len(curve.points) > 2 and curve == Curve.of_values(curve.values, "steps")
    return len(curve.points) if is_list else 0


def _course(motions: Sequence[Motion]) -> Iterator[tuple[float, np.ndarray]]:
    """The sum of strengths at all moments at which it may be highest, or change at once.

    Yields:
        A share of the run, be it of its steps or of its noise, and (n,) the sum there in n frames of the clip.
    """
    curves = [curve for motion in motions for curve in Strength.of(motion.strength).curves]
    run = {share for motion in motions for share in motion.span if share < 1}
    run |= {share for curve in curves if curve.over != "frames" for share, _ in curve.points}
    clip = {share for curve in curves if curve.over == "frames" for share, _ in curve.points}
    frames = sorted({0.0} | clip)
    parts = [[(level, _over_clip(level, frames)) for level in _levels(motion)] for motion in motions]
    for done in sorted({0.0} | run):
        total = np.zeros(len(frames))
        for motion, levels in zip(motions, parts, strict=True):
            if _acts(motion, done):
                total += sum(_over_run(level, done) * in_frames for level, in_frames in levels) / len(levels)
        yield done, total


def _levels(motion: Motion) -> list[Level]:
    """Those whose mean is the strength as one number; where it is the same in all parts one, so that it is exact."""
    levels = Strength.of(motion.strength).by_part()
    return [levels[0]] if len(set(levels)) == 1 else list(levels)


def _over_clip(level: Level, frames: Sequence[float]) -> np.ndarray:
    curves = [curve for curve in curves_of(level) if curve.over == "frames"]
    return np.array([math.prod(curve.at(frame) for curve in curves) for frame in frames], dtype=float)


def _over_run(level: Level, done: float) -> float:
    if isinstance(level, (int, float)):
        return level
    return math.prod(curve.at(done) for curve in curves_of(level) if curve.over != "frames")


def _acts(motion: Motion, done: float) -> bool:
    start, end = motion.span
    return start <= done < end or done == end == 1


def _strongest(motion: Motion) -> float:
    return max(float(row.max()) for done, row in _course([motion]) if motion.span[0] <= done)


def _changes(motion: Motion) -> bool:
    return not Strength.of(motion.strength).constant


def _idle(motion: Motion) -> list[str]:
    return [] if motion.acts else [f"{motion.name} has the weight 0 and does nothing."]


def _below_0(motion: Motion) -> list[str]:
    strength = _strongest(motion)
    if strength >= 0:
        return []
    return [
        f"{motion.name} has the weight {strength:g}: below 0 a motion is not reversed, the clip stands still or breaks "
        "into noise. Take the opposite motion."
    ]


def _beyond(motion: Motion) -> list[str]:
    strength = _strongest(motion)
    if strength <= _STRONGEST:
        return []
    up_to = "weights up to" if _changes(motion) else "the weight"
    return [
        f"{motion.name} runs at {up_to} {strength:g}: above {_STRONGEST:g} a motion turns back, and breaks; "
        "it was trained at 1."
    ]


def _alone(plain: Sequence[Motion]) -> list[str]:
    """Of a single motion without a mask, within the range that the notes above leave."""
    if len(plain) != 1 or _changes(plain[0]):
        return []
    (motion,), strength = plain, _strongest(plain[0])
    if not 0 < strength <= _STRONGEST or abs(strength - 1) <= _FAR_FROM_ONE:
        return []
    if strength > 1:
        return [f"{motion.name} runs at the weight {strength:g}: it moves more than at 1, and the picture suffers."]
    return [f"{motion.name} runs at the weight {strength:g}; it was trained at 1."]


def _sum(plain: Sequence[Motion]) -> list[str]:
    """Of several motions without masks."""
    if len(plain) < 2:
        return []
    if any(map(_changes, plain)):
        highest = max(strength_sums(plain))
        too_much = highest - 1 > _FAR_FROM_ONE
        return [f"The weights sum to up to {highest:g}; a sum of 1 is the most stable."] if too_much else []
    odd = [total for total in strength_sums(plain) if abs(total - 1) > _FAR_FROM_ONE]
    if not odd:
        return []
    advice = f": try {', '.join(f'{_strongest(motion) / odd[0]:.2g}' for motion in plain)}" if odd[0] > 0 else ""
    totals = " and ".join(f"{total:g}" for total in odd)
    return [f"The weights sum to {totals}; a sum of 1 is the most stable{advice}."]


def _masked(motion: Motion) -> list[str]:
    strength = _strongest(motion)
    if _changes(motion) or math.isclose(strength, 1) or not 0 < strength <= _STRONGEST:
        return []
    return [f"{motion.name} runs at the weight {strength:g}; masked motions are made for 1."]
