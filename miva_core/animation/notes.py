"""What is odd about a run, in words, for whoever started it."""

import math
from collections.abc import Collection, Sequence

from ..media.pictures import format_size
from .motion_text import Motion, weight_sums

_FAR_FROM_ONE = 0.25
_STRONGEST = 2.0
"""Weight above which more makes a clip move less: pans go 0.9, 1.1, 0.95 and 0.6 pixels a frame at 1, 2, 3 and 5."""
_FAR_FROM_BASE = 2.0
"""How many times a side may be as long, or as short, as what a base was trained on."""


def size_notes(size: tuple[int, int], usual: tuple[int, int]) -> list[str]:
    """What is odd about the (height, width) of a clip on a base that was trained on the usual one."""
    if max(max(side / other, other / side) for side, other in zip(size, usual, strict=True)) <= _FAR_FROM_BASE:
        return []
    return [f"{format_size(size)} is far from the {format_size(usual)} that this base was trained on; it may not move."]


def without_motion(captioned: bool) -> str:
    """What a base does when no motion acts; one with captions runs under one of them, see `with_drawn_caption`."""
    moves = "makes one of its camera moves, which the seed chooses" if captioned else "moves as it likes"
    return f"No motion acts: the base {moves}."


def weight_notes(motions: Sequence[Motion], masks: Collection[str]) -> list[str]:
    """What is odd about the weights of motions, of which some, by their names, have masks."""
    notes = [f"{motion.name} has the weight 0 and does nothing." for motion in motions if not motion.weight]
    notes += [
        f"{motion.name} has the weight {motion.weight:g}: below 0 a motion is not reversed, the clip breaks into "
        "noise. Take the opposite motion."
        for motion in motions
        if motion.weight < 0
    ]
    notes += [
        f"{motion.name} runs at the weight {motion.weight:g}: above {_STRONGEST:g} a motion turns back, and breaks; "
        "it was trained at 1."
        for motion in motions
        if motion.weight > _STRONGEST
    ]
    plain = [motion for motion in motions if motion.name not in masks]
    if len(plain) == 1 and 0 < plain[0].weight <= _STRONGEST and abs(plain[0].weight - 1) > _FAR_FROM_ONE:
        notes.append(f"{plain[0].name} runs at the weight {plain[0].weight:g}; it was trained at 1.")
    odd = [total for total in weight_sums(plain) if abs(total - 1) > _FAR_FROM_ONE] if len(plain) > 1 else []
    if odd:
        advice = f": try {', '.join(f'{motion.weight / odd[0]:.2g}' for motion in plain)}" if odd[0] > 0 else ""
        notes.append(
            f"The weights sum to {' and '.join(f'{total:g}' for total in odd)}; a sum of 1 is the most stable{advice}."
        )
    notes += [
        f"{motion.name} runs at the weight {motion.weight:g}; masked motions are made for 1."
        for motion in motions
        if motion.name in masks and not math.isclose(motion.weight, 1) and 0 < motion.weight <= _STRONGEST
    ]
    return notes
