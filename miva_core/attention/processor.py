"""What stands at an attention site while adapters act there.

Processors are plain objects, so that a base neither owns nor saves an adapter's parameters. Each reads only its own
attributes, named alike on all of them, and one shared `Context`: torch.compile then makes one graph for all blocks of a
kind. They hold nothing of a model, which they see through an `AttentionPort`.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import reduce

from torch import Tensor

from .context import Context, Group
from .port import AttentionPort


class Processor(ABC):
    """Computes one attention of the base and what adapters change of it.

    Args:
        context: shared by all processors of one injection.
        groups: the adapters at this site.
    """

    def __init__(self, context: Context, groups: list[Group]) -> None:
        self.context = context
        self.groups = groups

    @abstractmethod
    def __call__(self, port: AttentionPort, x: Tensor, text: Tensor | None = None) -> Tensor:
        """The attention's output in place of the base's own, its output map included.

        Args:
            port: the base's attention module.
            x: (b, s, d) its input.
            text: (b, words, d_text) what cross-attention attends to, None for the other kinds and where there is none.

        Returns:
            (b, s, d)
        """


def total(terms: Sequence[Tensor]) -> Tensor:
    """The sum of one or more tensors, from the first to the last."""
    return reduce(operator.add, terms)


def of_tokens(strengths: Tensor, rows: int, tokens: int) -> Tensor:
    """Strengths that differ from frame to frame, as those of all tokens of the frames.

    Args:
        strengths: (n, f)
        rows: b f, frames of b clips.
        tokens: s, of a frame.

    Returns:
        (n, b f, s)
    """
    return strengths.repeat(1, rows // strengths.shape[1])[..., None].expand(-1, -1, tokens)


def base_share(shares: Tensor, like: Tensor) -> Tensor:
    """What adapters leave to the base, 1 - Σ_j share_j.

    Args:
        shares: one for each adapter, (n,), or one for each adapter and token, (n, b, s); b and s may be 1.
        like: tokens (b, s, d), whose dtype and device the result has.

    Returns:
        (), or (b, s, 1)
    """
    # arithmetic on a tensor, never a branch: a new strength must not trigger a new compilation
    share = (1 - shares.sum(0)).to(like)
    return share if share.ndim == 0 else share[..., None]
