"""Linear maps of several adapters of equal shape, in as few matrix products as are exact.

Shapes: n adapters, b rows, s tokens, d channels, r rank. Matrices are (out, in), as in nn.Linear; lists of parameters
hold one entry for each adapter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..adapters.layers import Delta


def fan_out(x: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Apply every adapter's matrix to one shared input, in one product.

    Args:
        x: (b, s, d)
        matrices: n times (r, d)

    Returns:
        (n, b, s, r)
    """
    return F.linear(x, torch.cat(tuple(matrices)).to(x)).unflatten(-1, (len(matrices), -1)).movedim(-2, 0)


def each(xs: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Apply every adapter's matrix to that adapter's input.

    Args:
        xs: (n, b, s, d)
        matrices: n times (r, d)

    Returns:
        (n, b, s, r)
    """
    ys = torch.bmm(xs.flatten(1, 2), torch.stack(tuple(matrices)).to(xs).mT)
    return ys.unflatten(1, xs.shape[1:3])


def fan_in(xs: Tensor, matrices: Sequence[Tensor], strengths: Tensor) -> Tensor:
    """Apply every adapter's matrix to that adapter's input, and sum by the strengths, in one product.

    Args:
        xs: (n, b, s, r)
        matrices: n times (d, r)
        strengths: (n,), or (n, b, s) with one for each token.

    Returns:
        (b, s, d)
    """
    xs = xs * strengths.reshape(strengths.shape + (1,) * (xs.ndim - strengths.ndim)).to(xs)
    return F.linear(xs.movedim(0, -2).flatten(-2), torch.cat(tuple(matrices), dim=1).to(xs))


def fan_out_deltas(x: Tensor, deltas: Sequence[Delta]) -> Tensor:
    """`fan_out` by learned changes of matrices: Δ_j(x).

    Args:
        x: (b, s, d)
        deltas: n of them

    Returns:
        (n, b, s, d)
    """
    ups = [delta.up for delta in deltas]
    downs = present(delta.down for delta in deltas)
    return each(fan_out(x, downs), ups) if downs else fan_out(x, ups)


def each_delta(xs: Tensor, deltas: Sequence[Delta]) -> Tensor:
    """`each` by learned changes of matrices: Δ_j(x_j).

    Args:
        xs: (n, b, s, d)
        deltas: n of them

    Returns:
        (n, b, s, d)
    """
    downs = present(delta.down for delta in deltas)
    xs = each(xs, downs) if downs else xs
    return each(xs, [delta.up for delta in deltas])


def fan_in_deltas(xs: Tensor, deltas: Sequence[Delta], strengths: Tensor) -> Tensor:
    """`fan_in` by learned changes of matrices: Σ_j w_j Δ_j(x_j).

    Args:
        xs: (n, b, s, d)
        deltas: n of them
        strengths: (n,)

    Returns:
        (b, s, d)
    """
    downs = present(delta.down for delta in deltas)
    xs = each(xs, downs) if downs else xs
    return fan_in(xs, [delta.up for delta in deltas], strengths)


def present(parameters: Iterable[Tensor | None]) -> list[Tensor]:
    """An optional parameter of adapters of equal config, which all of them have, or none: a list of all, or of none."""
    return [parameter for parameter in parameters if parameter is not None]
