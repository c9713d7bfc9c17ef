"""What Apply MIVA says of where a prompt is heard, and of what CFG costs."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..miva_core.animation.notes import strength_sums

if TYPE_CHECKING:
    from ..miva_core.animation.motion import Motion

_EXACT = 1e-6


def prompt_notes(motions: "Sequence[Motion]", prompted: bool) -> list[str]:
    """Say where a prompt is heard, if one is connected, and what CFG above 1 does.

    Args:
        motions: all that are to act.
        prompted: whether a prompt or a negative one is connected.

    Returns:
        A sentence or two.
    """
    plain = [motion for motion in motions if motion.mask is None]
    masked = len(plain) < len(motions)
    full = bool(plain) and all(math.isclose(total, 1, abs_tol=_EXACT) for total in strength_sums(plain))
    if full and not masked:
        unheard = "The weights sum to 1, so no prompt is heard" if prompted else "The weights sum to 1"
        return [f"{unheard}: CFG above 1 changes nothing and costs nothing."]
    if not prompted:
        return ["No prompt is connected: CFG above 1 changes nothing, and takes twice as long."]
    return [f"The prompt is heard {_where(full, masked)}. CFG above 1 takes twice as long."]


def _where(full: bool, masked: bool) -> str:
    if not masked:
        return "for the share that the weights leave to 1"
    return "at the edges of subjects alone, since the others' weights sum to 1" if full else "where no subject is"
