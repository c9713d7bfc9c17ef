"""The method's formulas as slow loops over heads, in whatever precision their tensors have."""

import math

import torch
from torch import Tensor, nn

from miva_core.adapters.layers import Delta


def matrix(delta: Delta) -> Tensor:
    return delta.up if delta.down is None else delta.up @ delta.down


def linear(layer: nn.Linear, x: Tensor) -> Tensor:
    return x @ layer.weight.T + (0.0 if layer.bias is None else layer.bias)


def rms_normed(norm: nn.Module | None, x: Tensor) -> Tensor:
    return x if norm is None else x / torch.sqrt((x**2).mean(-1, keepdim=True) + norm.eps) * norm.weight


def head_slices(tokens: Tensor, heads: int) -> list[Tensor]:
    return list(tokens.chunk(heads, dim=-1))


def attention_matrix(q: Tensor, k: Tensor, bias: Tensor | float = 0.0) -> Tensor:
    return torch.softmax(q @ k.T / math.sqrt(q.shape[-1]) + bias, dim=-1)


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, bias: Tensor | float = 0.0) -> Tensor:
    """q, k, v (tokens, d) of one frame each, bias (queries, keys)."""
    slices = zip(head_slices(q, heads), head_slices(k, heads), head_slices(v, heads), strict=True)
    return torch.cat([attention_matrix(qh, kh, bias) @ vh for qh, kh, vh in slices], dim=-1)


def relu_attention(q: Tensor, k: Tensor, v: Tensor, heads: int, weights: Tensor | float = 1.0) -> Tensor:
    """SANA's linear attention, by every pair of tokens; weights (queries, keys) multiply the similarities."""
    slices = zip(head_slices(q, heads), head_slices(k, heads), head_slices(v, heads), strict=True)
    return torch.cat([_mean(torch.relu(qh) @ torch.relu(kh).T * weights, vh) for qh, kh, vh in slices], dim=-1)


def cosine_attention(q: Tensor, k: Tensor, v: Tensor, heads: int, weights: Tensor | float = 1.0) -> Tensor:
    """MiraMo's linear attention over frames 0, 1, … (Eq. 8), by every pair of them."""
    rates = 10000.0 ** (-torch.arange(0, q.shape[-1] // heads, 2, dtype=q.dtype) / (q.shape[-1] // heads))
    angles, means = torch.arange(len(q), dtype=q.dtype)[:, None] * rates, []
    for qh, kh, vh in zip(head_slices(q, heads), head_slices(k, heads), head_slices(v, heads), strict=True):
        qh, kh = (turned(x / x.norm(dim=-1, keepdim=True), angles, 1) for x in (qh, kh))
        means.append(_mean((1 + qh @ kh.T) * weights, vh))
    return torch.cat(means, dim=-1)


def _mean(similarities: Tensor, v: Tensor) -> Tensor:
    """Zeros where nothing is similar."""
    sums = similarities.sum(-1, keepdim=True)
    return torch.where(sums > 0, similarities / sums, 0) @ v


def phi(temb: Tensor, gate: nn.Module, temperature: float) -> tuple[Tensor, Tensor]:
    """temb (d_t,) of one clip."""
    logits = gate.weight @ (temb * torch.sigmoid(temb))
    if gate.bias is not None:
        logits = logits + gate.bias
    exponentials = torch.exp(logits / temperature)
    return exponentials[0] / exponentials.sum(), exponentials[1] / exponentials.sum()


def perceptron(prompt: nn.Module, query: Tensor, act: str, norm: bool, degree: float = 0.0) -> Tensor:
    """W2(act(norm(W1 q))) of queries (tokens, d), with a gain and a shift by the degree where there is one."""
    hidden = query @ prompt.first.T
    if norm:
        centred = hidden - hidden.mean(-1, keepdim=True)
        hidden = centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + 1e-5)
        hidden = hidden * prompt.norm_weight + prompt.norm_bias
    if act == "gelu":
        hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    else:
        hidden = torch.exp(hidden) / torch.exp(hidden).sum(-1, keepdim=True)
    if prompt.degree is not None:
        gain, shift = (straight * degree + bent * (degree * degree - 0.4) for straight, bent in prompt.degree)
        hidden = hidden + hidden * gain + shift
    return hidden @ prompt.second.T


# --- rotary positions ------------------------------------------------------------------------------------------------


def turned(x: Tensor, angles: Tensor, heads: int) -> Tensor:
    """Every pair of channels as a complex number, times e^(i angle). angles (tokens, channels of a head / 2)."""
    pairs = torch.view_as_complex(x.reshape(len(x), heads, -1, 2).contiguous())
    return torch.view_as_real(pairs * torch.exp(1j * angles)[:, None]).reshape(len(x), -1)


def rope_angles(head_dim: int, grid: tuple[int, int, int]) -> Tensor:
    """Position times theta^(-2 j / dim) along frames, rows and columns, each in its own share of the channels."""
    rows = columns = 2 * (head_dim // 6)
    dims = head_dim - rows - columns, rows, columns
    places = [
        torch.tensor([f, h, w], dtype=torch.float64)
        for f in range(grid[0])
        for h in range(grid[1])
        for w in range(grid[2])
    ]
    rates = [10000.0 ** (-torch.arange(0, d, 2, dtype=torch.float64) / d) for d in dims]
    return torch.stack([torch.cat([p * r for p, r in zip(place, rates, strict=True)]) for place in places])
