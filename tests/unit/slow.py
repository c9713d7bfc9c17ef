"""The method's formulas as slow loops over heads, in whatever precision their tensors have."""

import math

import torch
from torch import Tensor, nn

from miva_core.adapters.layers import Delta


def matrix(delta: Delta) -> Tensor:
    return delta.up if delta.down is None else delta.up @ delta.down


def head_slices(tokens: Tensor, heads: int) -> list[Tensor]:
    return list(tokens.chunk(heads, dim=-1))


def attention_matrix(q: Tensor, k: Tensor, bias: Tensor | float = 0.0) -> Tensor:
    return torch.softmax(q @ k.T / math.sqrt(q.shape[-1]) + bias, dim=-1)


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, bias: Tensor | float = 0.0) -> Tensor:
    """q, k, v (tokens, d) of one frame each, bias (queries, keys)."""
    slices = zip(head_slices(q, heads), head_slices(k, heads), head_slices(v, heads), strict=True)
    return torch.cat([attention_matrix(qh, kh, bias) @ vh for qh, kh, vh in slices], dim=-1)


def phi(temb: Tensor, gate: nn.Module, temperature: float) -> tuple[Tensor, Tensor]:
    """temb (d_t,) of one clip."""
    logits = gate.weight @ (temb * torch.sigmoid(temb))
    if gate.bias is not None:
        logits = logits + gate.bias
    exponentials = torch.exp(logits / temperature)
    return exponentials[0] / exponentials.sum(), exponentials[1] / exponentials.sum()
