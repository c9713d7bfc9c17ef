"""Parts of a Wan block, written out."""

import torch
from torch import Tensor, nn


def linear(layer: nn.Linear, x: Tensor) -> Tensor:
    return x @ layer.weight.T + layer.bias


def normed(norm: nn.Module, x: Tensor) -> Tensor:
    return x / torch.sqrt((x**2).mean(-1, keepdim=True) + norm.eps) * norm.weight


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
