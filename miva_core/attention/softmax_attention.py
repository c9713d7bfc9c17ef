"""Softmax attention, with a bias of the logits where masks guide it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

# Plain reshapes instead of einops: torch.compile traces into every einops call, and took eight times as long.


class Codes(NamedTuple):
    """How masks guide pairs of tokens, as a product of low rank: query (..., s, r) · key (..., t, r).

    It is added to the logits of softmax attention, and a factor of the similarities of linear attention.
    """

    query: Tensor
    key: Tensor


Bias = Codes | Tensor
"""What is added to the logits of attention in every head: (..., s, t), or codes of it."""


def map_bias(change: Callable[[Tensor], Tensor], bias: Bias) -> Bias:
    """Apply a change of shape to a bias, or to both of its codes."""
    return Codes(*map(change, bias)) if isinstance(bias, Codes) else change(bias)


class Attend(Protocol):
    """The attention of a module, of its own kind and with its number of heads, see `AttentionPort.attend`."""

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, bias: Bias | None = None) -> Tensor: ...


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, bias: Bias | None = None) -> Tensor:
    """Compute softmax attention, head by head.

    Args:
        q: (b, s, d) queries.
        k: (b, t, d) keys.
        v: (b, t, d) values.
        heads: number of heads, among which the d channels are divided.
        bias: (b, s, t) added to the logits of every head, or codes of it.

    Returns:
        (b, s, d)
    """
    q, k, v = (tokens.unflatten(-1, (heads, -1)).transpose(1, 2) for tokens in (q, k, v))
    if isinstance(bias, Codes):
        return _attend_coded(q, k, v, bias).transpose(1, 2).flatten(2)
    mask = None if bias is None else bias[:, None].to(q)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)


def _attend_coded(q: Tensor, k: Tensor, v: Tensor, codes: Codes) -> Tensor:
    """Attention with the codes appended to queries and keys, and as many zeros to the values, since the fastest kernels
    want one width for all three. q, k, v (b, heads, tokens, d)."""
    width = q.shape[-1]
    scale = width**-0.5
    appended = torch.cat((q, _to_heads(codes.query / scale, q)), -1), torch.cat((k, _to_heads(codes.key, k)), -1)
    values = F.pad(v, (0, codes.key.shape[-1]))
    return F.scaled_dot_product_attention(*appended, values, scale=scale)[..., :width]


def _to_heads(code: Tensor, like: Tensor) -> Tensor:
    return code.to(like)[:, None].expand(-1, like.shape[1], -1, -1)
