"""What becomes of places that several subjects claim."""

from typing import Literal, get_args

import torch
from torch import Tensor

from ..errors import MIVAError

Overlap = Literal["keep", "best"]


def check_overlap(overlap: str) -> None:
    """Check a rule.

    Raises:
        MIVAError: there is no such rule.
    """
    if overlap not in get_args(Overlap):
        raise MIVAError(f"The overlap rule is {overlap!r}: choose 'keep', or 'best' to give each place to one subject.")


def resolve(logits: Tensor, overlap: Overlap) -> Tensor:
    """Masks of subjects from their logits.

    With "keep" they may overlap, and the stack of MIVAs decides: the last one lies on top (its S*, design of the
    unified labels). With "best" a place belongs to the subject with the highest logit there, of equal ones to the last.

    Args:
        logits: (subjects, …), above 0 on the subject.

    Returns:
        (subjects, …) bool.
    """
    masks = logits > 0
    if overlap == "keep":
        return masks
    last_best = len(logits) - 1 - logits.flip(0).argmax(0)
    return masks & (torch.arange(len(logits)).view(-1, *[1] * (logits.ndim - 1)) == last_best)
