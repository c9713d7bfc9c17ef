"""Linear maps of several adapters of equal shape, in as few matrix products as are exact.

Shapes: n adapters, b rows, s tokens, d channels, r rank. Matrices are (n, out, in), see `stacked`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .stacked import Deltas


def fan_out(x: Tensor, matrices: Tensor) -> Tensor:
    """Apply every adapter's matrix to one shared input, in one product.

    Args:
        x: (b, s, d)
        matrices: (n, r, d)

    Returns:
        (n, b, s, r)
    """
    return F.linear(x, matrices.flatten(0, 1).to(x)).unflatten(-1, matrices.shape[:2]).movedim(-2, 0)


def each(xs: Tensor, matrices: Tensor) -> Tensor:
    """Apply every adapter's matrix to that adapter's input.

    Args:
        xs: (n, b, s, d)
        matrices: (n, r, d)

    Returns:
        (n, b, s, r)
    """
    return torch.bmm(xs.flatten(1, 2), matrices.to(xs).mT).unflatten(1, xs.shape[1:3])


def fan_in(xs: Tensor, matrices: Tensor, strengths: Tensor) -> Tensor:
    """Apply every adapter's matrix to that adapter's input, and sum by the strengths, in one product.

    Args:
        xs: (n, b, s, r)
        matrices: (n, d, r), side by side.
        strengths: (n,), or (n, b, s) with one for each token; b and s may be 1.

    Returns:
        (b, s, d)
    """
    xs = xs * strengths.reshape(strengths.shape + (1,) * (xs.ndim - strengths.ndim)).to(xs)
    return F.linear(xs.movedim(0, -2).flatten(-2), matrices.movedim(0, 1).flatten(1).to(xs))


def fan_out_deltas(x: Tensor, deltas: Deltas) -> Tensor:
    """`fan_out` by learned changes of matrices: Δ_j(x).

    Args:
        x: (b, s, d)
        deltas: of n adapters.

    Returns:
        (n, b, s, d)
    """
    return fan_out(x, deltas.up) if deltas.down is None else each(fan_out(x, deltas.down), deltas.up)


def each_delta(xs: Tensor, deltas: Deltas) -> Tensor:
    """`each` by learned changes of matrices: Δ_j(x_j).

    Args:
        xs: (n, b, s, d)
        deltas: of n adapters.

    Returns:
        (n, b, s, d)
    """
    return each(xs if deltas.down is None else each(xs, deltas.down), deltas.up)


def fan_in_deltas(xs: Tensor, deltas: Deltas, strengths: Tensor) -> Tensor:
    """`fan_in` by learned changes of matrices: Σ_j w_j Δ_j(x_j).

    Args:
        xs: (n, b, s, d)
        deltas: of n adapters, side by side.
        strengths: as in `fan_in`.

    Returns:
        (b, s, d)
    """
    return fan_in(xs if deltas.down is None else each(xs, deltas.down), deltas.up, strengths)
