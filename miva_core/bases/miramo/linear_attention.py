"""Linear attention: keys and values are summed once, so that a query costs the same however many of them there are.

Tokens are (..., n, d), the n tokens of one head. Sums are made in float32 at least, since those of many tokens in half
precision lose what tells tokens apart.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

THETA = 10_000.0
"""Of rotary positions: pairs of channels turn by 1 to about 1/THETA rad a frame."""
_LEAST_NORM = 1e-6
"""Of a query or key; below it, it counts as shorter than 1 rather than as a direction."""
_LEAST_SHARE = 1e-6
"""Floor of the denominator: it is 0 where a query is opposite to all keys."""


def _without_autocast(device: torch.device) -> AbstractContextManager[object]:
    # Where nothing is computed, autocast is not known.
    return nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


def rotations(times: Tensor, dim: int, theta: float = THETA) -> Tensor:
    """The rotary positions of moments: by how much each pair of channels is turned.

    They are computed for the times given, so there is no table that could be too short.

    Args:
        times: (n,) any real numbers, in frames; float64 for positions in double precision.
        dim: channels d of a head, even.
        theta: how slowly the last pair turns.

    Returns:
        (n, d / 2) complex numbers of length 1, on the device of `times`.

    Source: RoPE, arXiv 2104.09864, with interleaved pairs.
    """
    dtype = torch.promote_types(times.dtype, torch.float32)
    exponents = torch.arange(0, dim, 2, device=times.device, dtype=dtype) / dim
    angles = times.to(dtype)[:, None] / theta**exponents
    return torch.polar(torch.ones_like(angles), angles)


def cosine_attention(query: Tensor, key: Tensor, value: Tensor, rotary: Tensor | None = None) -> Tensor:
    """Attention by 1 + cosine, of directions that are turned by their positions.

    Token i gets the mean of all v_j, weighted by 1 + (R_i q_i/|q_i|) · (R_j k_j/|k_j|), from 0 to 2. Such weights are
    never far from even: where a query has nothing in common with all keys but one, that one gets 2 / (m + 1).

    Args:
        query: (..., n, d)
        key: (..., m, d)
        value: (..., m, e)
        rotary: (n, d / 2) from `rotations`, where n is m; None for tokens without a place, or for a single one.

    Returns:
        (..., n, e) of the dtype of `query`.

    Source: MiraMo, arXiv 2508.07246, Eq. 8 and 9.
    """
    with _without_autocast(query.device):
        q, k, v = (tokens.to(torch.promote_types(tokens.dtype, torch.float32)) for tokens in (query, key, value))
        q, k = _directions(q, rotary), _directions(k, rotary)
        total, shares = _by_weights(q, k, v) if k.shape[-2] <= k.shape[-1] else _by_sums(q, k, v)
        return (total / shares.clamp(min=_LEAST_SHARE)).to(query.dtype)


def _by_sums(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Values by their weights 1 + q · k, and these, both summed over all keys: 2 d e multiplications a token."""
    total = v.sum(-2, keepdim=True) + q @ (k.transpose(-2, -1) @ v)
    return total, v.shape[-2] + q @ k.sum(-2)[..., None]


def _by_weights(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """The same in the other order, which is the shorter one where there are fewer keys than channels."""
    weights = 1 + q @ k.transpose(-2, -1)
    return weights @ v, weights.sum(-1, keepdim=True)


def guided_cosine_attention(
    query: Tensor, key: Tensor, value: Tensor, rotary: Tensor | None, query_codes: Tensor, key_codes: Tensor
) -> Tensor:
    """`cosine_attention` with each weight times the product of two codes.

    Args:
        query: (..., n, d)
        key: (..., m, d)
        value: (..., m, e)
        rotary: see `cosine_attention`.
        query_codes: (..., n, r)
        key_codes: (..., m, r), whose products with `query_codes` are not negative.

    Returns:
        (..., n, e) of the dtype of `query`.
    """
    with _without_autocast(query.device):
        q, k, v = (tokens.to(torch.promote_types(tokens.dtype, torch.float32)) for tokens in (query, key, value))
        # (1 + q · k) (a · b) = a · b + (q ⊗ a) · (k ⊗ b)
        q, k = (
            torch.cat([codes.to(tokens), coded(_directions(tokens, rotary), codes)], dim=-1)
            for tokens, codes in ((q, query_codes), (k, key_codes))
        )
        total, shares = q @ (k.transpose(-2, -1) @ v), q @ k.sum(-2)[..., None]
        return (total / shares.clamp(min=_LEAST_SHARE)).to(query.dtype)


def coded(tokens: Tensor, codes: Tensor) -> Tensor:
    """Each channel of a token times each number of its code: (..., n, d) and (..., n, r) give (..., n, d r).

    The product of two such tokens is that of the tokens times that of their codes.
    """
    return (tokens[..., None] * codes.to(tokens)[..., None, :]).flatten(-2)


def _directions(tokens: Tensor, rotary: Tensor | None) -> Tensor:
    """Tokens of length 1, turned by their positions."""
    tokens = tokens * torch.rsqrt(torch.linalg.vecdot(tokens, tokens) + _LEAST_NORM**2)[..., None]
    if rotary is None:
        return tokens
    pairs = torch.view_as_complex(tokens.unflatten(-1, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * rotary.to(pairs)).flatten(-2)


def relu_sums(key: Tensor, value: Tensor) -> Tensor:
    """What SANA's attention keeps of keys and values: Σ_j [v_j, 1] relu(k_j)ᵀ.

    Args:
        key: (..., m, d)
        value: (..., m, e)

    Returns:
        (..., e + 1, d) float32 at least; sums of several sets of tokens may be added, or weighted.

    Source: SANA, arXiv 2410.10629.
    """
    full = torch.promote_types(key.dtype, torch.float32)
    with _without_autocast(key.device):
        counted = F.pad(value.to(full).transpose(-2, -1), (0, 0, 0, 1), value=1.0)
        return counted @ F.relu(key).to(full)


def relu_attention(query: Tensor, sums: Tensor) -> Tensor:
    """SANA's attention: the mean of all v_j, weighted by relu(q_i) · relu(k_j).

    Args:
        query: (..., n, d)
        sums: (..., e + 1, d) from `relu_sums`.

    Returns:
        (..., n, e) of the dtype of `query`; zeros where no key has anything in common with the query.
    """
    with _without_autocast(query.device):
        counted = sums @ F.relu(query).to(sums).transpose(-2, -1)
        return (counted[..., :-1, :] / (counted[..., -1:, :] + 1e-15)).transpose(-2, -1).to(query.dtype)
