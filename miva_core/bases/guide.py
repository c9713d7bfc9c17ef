"""What a base is shown beside a picture: where something moves, or how near it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

GuideKind = Literal["", "mask", "nearness"]
KINDS: tuple[GuideKind, ...] = ("", "mask", "nearness")
"""What a guide may be, in the order of the numbers that models know them by; the first is none."""


@dataclass(frozen=True, eq=False)
class Guide:
    """A map of frame 1 for each of B clips.

    Attributes:
        maps: (B, H, W) in [0, 1], of the size of the clips in pixels; zeros where there is none.
        kinds: (B,) what each of them is.
    """

    maps: Tensor
    kinds: Sequence[GuideKind]

    def numbers(self) -> Tensor:
        """(B,) which of `KINDS` each is, on the device of the maps."""
        return torch.tensor([KINDS.index(kind) for kind in self.kinds], device=self.maps.device)
