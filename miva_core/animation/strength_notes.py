"""What is odd about how strongly the motions of a run act, in words."""

import itertools
import math
import statistics
from collections.abc import Sequence

from ..attention.curve import Curve
from ..attention.strength import Strength
from .motion import Motion

_FAR_FROM_ONE = 0.25
_STRONGEST = 2.0
"""Strength above which more makes a clip move less: pans go 0.9, 1.1, 0.95 and 0.6 pixels a frame at 1, 2, 3 and 5."""

_Moment = tuple[float, float]
"""Shares of the run, be it of its steps or of its noise, and of the clip."""


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
    longest = {motion.name: max(map(_held, Strength.of(motion.strength).curves), default=0) for motion in motions}
    return [
        f"{name} has {count} strengths over {steps} step{'s' if steps > 1 else ''}, so that not all of them come up: "
        "give it fewer, or the run more steps."
        for name, count in longest.items()
        if count > steps
    ]


def strength_sums(motions: Sequence[Motion]) -> list[float]:
    """The different sums of strengths that a run goes through, as motions begin and end to act, and curves turn."""
    sums = (sum(_at(motion, moment) for motion in motions) for moment in _moments(motions))
    return list(dict.fromkeys(sums))


def _held(curve: Curve) -> int:
    """How many strengths a curve holds in the course of the steps."""
    return len(curve.points) if curve.over == "steps" and curve.between == "hold" else 0


def _moments(motions: Sequence[Motion]) -> list[_Moment]:
    """All moments at which strengths may be highest, or change at once."""
    curves = [curve for motion in motions for curve in Strength.of(motion.strength).curves]
    run = {share for motion in motions for share in motion.span if share < 1}
    run |= {share for curve in curves if curve.over != "frames" for share, _ in curve.points}
    clip = {share for curve in curves if curve.over == "frames" for share, _ in curve.points}
    return list(itertools.product(sorted({0.0} | run), sorted({0.0} | clip)))


def _at(motion: Motion, moment: _Moment) -> float:
    """The strength as one number. It is exact where it is the same in all parts: so is their mean."""
    (done, frame), (start, end) = moment, motion.span
    acts = start <= done < end or done == end == 1
    return statistics.mean(Strength.of(motion.strength).at(done, done, frame)) if acts else 0.0


def _strongest(motion: Motion) -> float:
    return max(_at(motion, moment) for moment in _moments([motion]) if motion.span[0] <= moment[0])


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
