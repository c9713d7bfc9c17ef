"""Resolve pixels that several subjects claim."""

from typing import Literal, get_args

import torch
from torch import Tensor

from ..errors import MIVAError

Overlap = Literal["keep", "best"]


def check_overlap(overlap: str) -> None:
    """Check the name of an overlap rule.

    Raises:
        MIVAError: there is no such rule.
    """
    if overlap not in get_args(Overlap):
        raise MIVAError(f"The overlap rule is {overlap!r}: choose 'keep', or 'best' to give each place to one subject.")


def resolve(logits: Tensor, overlap: Overlap) -> Tensor:
    """Turn logits of subjects into masks.

    Args:
        logits: (subjects, …), above 0 on the subject.
        overlap: "keep" lets masks overlap; when they are used, the last motion in the stack wins. "best" gives each
            pixel to the subject with the highest logit, among equal ones to the last.

    Returns:
        (subjects, …) bool.
    """
    masks = logits > 0
    if overlap == "keep":
        return masks
    last_best = len(logits) - 1 - logits.flip(0).argmax(0)
    return masks & (torch.arange(len(logits)).view(-1, *[1] * (logits.ndim - 1)) == last_best)
