"""Which entries of a base's captions tell of what a guide shows."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class CaptionEntries:
    """Entries (slots, dim) of captions, True where they are heard; a mask marks the second or the third.

    Attributes:
        depth: of what moves by its nearness.
        staying: of a region that stays where it is, and moves inside.
        carried: of a subject that is carried along, its mask with it.
    """

    depth: Tensor
    staying: Tensor
    carried: Tensor
