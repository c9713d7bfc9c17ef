"""The formulas: attention, cross-frame attention, and linear maps of several adapters in as few products as exact.

Shapes: n adapters of equal config, b clips, f frames, s tokens per frame, d channels, r rank. Matrices are (out, in),
as in nn.Linear. Lists of parameters hold one entry per adapter.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .layers import CrossFrame, Delta, Gate, Prompt

# Plain reshapes instead of einops: torch.compile traces into every einops call, and took eight times as long.


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Softmax attention, head by head: q (b, s, d), k and v (b, t, d) give (b, s, d)."""
    q, k, v = (tokens.unflatten(-1, (heads, -1)).transpose(1, 2) for tokens in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


# --- linear maps of n adapters -------------------------------------------------------------------------------------


def fan_out(x: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Every adapter's matrix on one shared input, in one product: (b, s, d), n times (r, d), give (n, b, s, r)."""
    return F.linear(x, torch.cat(tuple(matrices)).to(x)).unflatten(-1, (len(matrices), -1)).movedim(-2, 0)


def each(xs: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Every adapter's matrix on its own input: (n, b, s, d), n times (r, d), give (n, b, s, r)."""
    ys = torch.bmm(xs.flatten(1, 2), torch.stack(tuple(matrices)).to(xs).mT)
    return ys.unflatten(1, xs.shape[1:3])


def fan_in(xs: Tensor, matrices: Sequence[Tensor], weights: Tensor) -> Tensor:
    """Weighted sum of every adapter's matrix on its own input, in one product: (n, b, s, r), n times (d, r), weights
    (n,), give (b, s, d)."""
    xs = xs * weights[:, None, None, None].to(xs)
    return F.linear(xs.movedim(0, -2).flatten(-2), torch.cat(tuple(matrices), dim=1).to(xs))


def spread(x: Tensor, deltas: Sequence[Delta]) -> Tensor:
    """Every adapter's Δ on one shared input: (b, s, d) gives (n, b, s, d)."""
    ups = [delta.up for delta in deltas]
    if deltas[0].down is None:
        return fan_out(x, ups)
    return each(fan_out(x, [delta.down for delta in deltas]), ups)


def collect(xs: Tensor, deltas: Sequence[Delta], weights: Tensor) -> Tensor:
    """Σ_j w_j Δ_j(x_j): (n, b, s, d) and weights (n,) give (b, s, d)."""
    if deltas[0].down is not None:
        xs = each(xs, [delta.down for delta in deltas])
    return fan_in(xs, [delta.up for delta in deltas], weights)


# --- cross-frame attention -----------------------------------------------------------------------------------------


def reference_weights(temb: Tensor, gates: Sequence[Gate], temperature: float) -> Tensor:
    """(λ2, λ3) = φ(temb) of every adapter (3.3.1): temb (b, d_t), before SiLU, gives (n, b, 2), which sum to 1."""
    weight = torch.cat([gate.weight for gate in gates])
    bias = None if gates[0].bias is None else torch.cat([gate.bias for gate in gates])
    # In the parameters' own precision, since a low temperature magnifies the rounding of half-precision logits, and as
    # a sum of products, since autocast would round a matrix product.
    logits = (F.silu(temb.to(weight))[:, None] * weight).sum(-1)
    logits = logits if bias is None else logits + bias
    return torch.softmax(logits.unflatten(-1, (-1, 2)) / temperature, dim=-1).transpose(0, 1)


def previous_frame(tokens: Tensor, frames: int) -> Tensor:
    """Every frame's predecessor; the first frame precedes itself. (b f, s, d) in and out."""
    clips = tokens.unflatten(0, (-1, frames))
    return torch.cat((clips[:, :1], clips[:, :-1]), dim=1).flatten(0, 1)


def cross_frame_queries(x: Tensor, query: Tensor, branches: Sequence[CrossFrame]) -> Tensor:
    """W_Q^j(x) of every adapter, from the base's own query W_Q(x): x and query (b, s, d) give (n, b, s, d)."""
    queries = query + spread(x, [branch.q for branch in branches])
    if branches[0].q_bias is None:
        return queries
    return queries + torch.stack([branch.q_bias for branch in branches])[:, None, None].to(queries)


def separate_cross_frame(q: Tensor, k: Tensor, v: Tensor, lambdas: Tensor, heads: int, frames: int) -> Tensor:
    """λ2 A(q_i, f^1) + λ3 A(q_i, f^prev(i)), a softmax for each reference (Eq. 2, before W_O).

    q (n, b f, s, d), k and v (b f, s, d), lambdas (n, b f, 2) give (n, b f, s, d).
    """
    n, _, s, _ = q.shape
    # all frames of all adapters ask the same first frame, so they are one long query and its k, v are not copied
    queries = q.unflatten(1, (-1, frames)).transpose(0, 1).flatten(1, 3)  # (b, n f s, d)
    k_first, v_first = (tokens.unflatten(0, (-1, frames))[:, 0] for tokens in (k, v))
    first = attend(queries, k_first, v_first, heads)
    first = first.unflatten(1, (n, frames, s)).transpose(0, 1).flatten(1, 2)

    prev = _previous_references(q, k, v, first, heads, frames)
    first_share, prev_share = lambdas.to(first)[..., None, None].unbind(2)
    return first_share * first + prev_share * prev


def _previous_references(q: Tensor, k: Tensor, v: Tensor, first: Tensor, heads: int, frames: int) -> Tensor:
    """A(q_i, f^prev(i)). Frames 1 and 2 are preceded by frame 1: what they got from `first` is not computed again."""
    n, _, s, _ = q.shape
    if frames <= 2:
        return first
    queries = q.unflatten(1, (-1, frames))[:, :, 2:].flatten(1, 2)
    keys, values = (tokens.unflatten(0, (-1, frames))[:, 1:-1].flatten(0, 1) for tokens in (k, v))
    later = attend(queries.transpose(0, 1).flatten(1, 2), keys, values, heads)  # (b (f - 2), n s, d)
    later = later.unflatten(1, (n, s)).transpose(0, 1).unflatten(1, (-1, frames - 2))
    return torch.cat((first.unflatten(1, (-1, frames))[:, :, :2], later), dim=2).flatten(1, 2)


def joint_cross_frame(q: Tensor, k: Tensor, v: Tensor, lambdas: Tensor, heads: int, frames: int) -> Tensor:
    """One softmax over the keys of both references, with values scaled by λ2 and λ3. Shapes as in the separate form."""
    k_first, v_first = (tokens[::frames].repeat_interleave(frames, dim=0) for tokens in (k, v))
    k_prev, v_prev = (previous_frame(tokens, frames) for tokens in (k, v))
    keys = torch.cat((k_first, k_prev), dim=1)
    first_share, prev_share = lambdas.to(v)[..., None, None].unbind(2)
    # the values differ from adapter to adapter, so there is no common attention to fold them into
    return torch.stack(
        [
            attend(queries, keys, torch.cat((to_first * v_first, to_prev * v_prev), dim=1), heads)
            for queries, to_first, to_prev in zip(q, first_share, prev_share, strict=True)
        ]
    )


def cross_frame_output(mixed: Tensor, branches: Sequence[CrossFrame], weights: Tensor) -> Tensor:
    """Σ_j w_j W_O^j(mixed_j): (n, b f, s, d) and weights (n,) give (b f, s, d)."""
    output = collect(mixed, [branch.out for branch in branches], weights)
    if branches[0].bias is None:
        return output
    bias = torch.stack([branch.bias for branch in branches])
    return output + (weights.to(bias) @ bias).to(output)


# --- prompt --------------------------------------------------------------------------------------------------------


def prompt_output(hidden: Tensor, prompts: Sequence[Prompt], act: str, weights: Tensor) -> Tensor:
    """Σ_j w_j W2_j(act(norm_j(hidden_j))) (3.3.2): hidden (n, b, s, r) and weights (n,) give (b, s, d)."""
    if prompts[0].norm_weight is not None:
        scale = torch.stack([prompt.norm_weight for prompt in prompts]).to(hidden)
        shift = torch.stack([prompt.norm_bias for prompt in prompts]).to(hidden)
        normed = F.layer_norm(hidden, hidden.shape[-1:]).to(hidden)
        hidden = normed * scale[:, None, None] + shift[:, None, None]
    hidden = F.gelu(hidden) if act == "gelu" else torch.softmax(hidden, dim=-1)
    return fan_in(hidden, [prompt.second for prompt in prompts], weights)
