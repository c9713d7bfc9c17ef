"""What Apply MIVA says of the motions in a MODEL: how they act, where a prompt is heard, and what CFG does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..miva_core.animation.degree_notes import degree_notes
from ..miva_core.animation.motion import Motion
from ..miva_core.animation.strength_notes import strength_notes, strength_sums

if TYPE_CHECKING:
    from .comfy_bridge.native.plan import PlannedMotion

_EXACT = 1e-6
_FREE = "CFG above 1 changes nothing and costs nothing."


def motion_notes(planned: Sequence[PlannedMotion], size: tuple[int, int]) -> list[str]:
    """Say what is odd about all motions that are to act in a MODEL, and how fast those are that were given a degree.

    Args:
        planned: the motions.
        size: (height, width) in pixels that they were trained at.

    Returns:
        Sentences, none where all is usual.
    """
    motions = _motions(planned)
    return [*strength_notes(motions), *degree_notes(motions, size)]


def prompt_note(planned: Sequence[PlannedMotion], prompted: bool) -> str:
    """Say what prompt and CFG do beside motions.

    Args:
        planned: all that are to act in a MODEL.
        prompted: whether a prompt or a negative one is connected.

    Returns:
        A sentence or two.
    """
    motions = _motions(planned)
    plain = [motion for motion in motions if motion.mask is None]
    masked = len(plain) < len(motions)
    full = bool(plain) and all(math.isclose(total, 1, abs_tol=_EXACT) for total in strength_sums(plain))
    if full and not masked:
        unheard = "The weights sum to 1, so no prompt is heard" if prompted else "The weights sum to 1"
        return f"{unheard}: {_FREE}"
    if not prompted:
        return f"No prompt is connected: {_FREE}"
    return f"The prompt is heard {_where(full, masked)}. CFG above 1 takes twice as long."


def _where(full: bool, masked: bool) -> str:
    if not masked:
        return "for the share that the weights leave to 1"
    return "at the edges of subjects alone, since the others' weights sum to 1" if full else "where no subject is"


def _motions(planned: Sequence[PlannedMotion]) -> list[Motion]:
    return [
        Motion(
            *(one.adapter, one.strength, None if one.mask is None else one.mask.first, one.name, one.span),
            degree=one.degree,
        )
        for one in planned
    ]
