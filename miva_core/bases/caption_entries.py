"""Which entries of a base's captions tell of what a mask marks."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class CaptionEntries:
    """Entries (slots, dim) of captions, True where they are heard; a mask marks the one or the other.

    Attributes:
        staying: of a region that stays where it is, and moves inside.
        carried: of a subject that is carried along, its mask with it.
    """

    staying: Tensor
    carried: Tensor
