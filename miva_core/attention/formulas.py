"""The formulas: attention, cross-frame attention, and linear maps of several adapters in as few products as exact.

Shapes: n adapters of equal config, b clips, f frames, s tokens per frame, d channels, r rank. Matrices are (out, in),
as in nn.Linear. Lists of parameters hold one entry per adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ..adapters.layers import CrossFrame, Delta, Gate, Prompt

# Plain reshapes instead of einops: torch.compile traces into every einops call, and took eight times as long.


class Codes(NamedTuple):
    """A bias of the logits as a product: query (..., s, r) · key (..., t, r)."""

    query: Tensor
    key: Tensor


Bias = Codes | Tensor
"""What is added to the logits of attention in every head: (..., s, t), or codes of it."""


class Attend(Protocol):
    """Softmax attention with a fixed number of heads, see `attend`."""

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, bias: Bias | None = None) -> Tensor: ...


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, bias: Bias | None = None) -> Tensor:
    """Softmax attention, head by head: q (b, s, d), k and v (b, t, d) give (b, s, d)."""
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
    (n,) or (n, b, s), give (b, s, d)."""
    xs = xs * weights.reshape(weights.shape + (1,) * (xs.ndim - weights.ndim)).to(xs)
    return F.linear(xs.movedim(0, -2).flatten(-2), torch.cat(tuple(matrices), dim=1).to(xs))


def fan_out_deltas(x: Tensor, deltas: Sequence[Delta]) -> Tensor:
    """Every adapter's Δ on one shared input: (b, s, d) gives (n, b, s, d)."""
    ups = [delta.up for delta in deltas]
    downs = _present(delta.down for delta in deltas)
    return each(fan_out(x, downs), ups) if downs else fan_out(x, ups)


def each_delta(xs: Tensor, deltas: Sequence[Delta]) -> Tensor:
    """Every adapter's Δ on its own input: (n, b, s, d) in and out."""
    downs = _present(delta.down for delta in deltas)
    xs = each(xs, downs) if downs else xs
    return each(xs, [delta.up for delta in deltas])


def fan_in_deltas(xs: Tensor, deltas: Sequence[Delta], weights: Tensor) -> Tensor:
    """Σ_j w_j Δ_j(x_j): (n, b, s, d) and weights (n,) give (b, s, d)."""
    downs = _present(delta.down for delta in deltas)
    xs = each(xs, downs) if downs else xs
    return fan_in(xs, [delta.up for delta in deltas], weights)


def _present(parameters: Iterable[Tensor | None]) -> list[Tensor]:
    """Adapters of equal config all have an optional parameter, or none of them has it."""
    return [parameter for parameter in parameters if parameter is not None]


# --- cross-frame attention -----------------------------------------------------------------------------------------


def reference_weights(temb: Tensor, gates: Sequence[Gate], temperature: float) -> Tensor:
    """(λ2, λ3) = φ(temb) of every adapter (3.3.1): temb (b, d_t), before SiLU, gives (n, b, 2), which sum to 1."""
    weight = torch.cat([gate.weight for gate in gates])
    biases = _present(gate.bias for gate in gates)
    # In the parameters' own precision, since a low temperature magnifies the rounding of half-precision logits, and as
    # a sum of products, since autocast would round a matrix product.
    logits = (F.silu(temb.to(weight))[:, None] * weight).sum(-1)
    logits = logits + torch.cat(biases) if biases else logits
    return torch.softmax(logits.unflatten(-1, (-1, 2)) / temperature, dim=-1).transpose(0, 1)


def previous_frame(tokens: Tensor, frames: int) -> Tensor:
    """Every frame's predecessor; the first frame precedes itself. (b f, s, d) in and out."""
    clips = tokens.unflatten(0, (-1, frames))
    return torch.cat((clips[:, :1], clips[:, :-1]), dim=1).flatten(0, 1)


def cross_frame_queries(x: Tensor, query: Tensor, branches: Sequence[CrossFrame]) -> Tensor:
    """W_Q^j(x) of every adapter, from the base's own query W_Q(x): x and query (b, s, d) give (n, b, s, d)."""
    return _with_query_bias(query + fan_out_deltas(x, [branch.q for branch in branches]), branches)


def mask_queries(xs: Tensor, queries: Tensor, branches: Sequence[CrossFrame]) -> Tensor:
    """W_Q^j(x_j) of every adapter's mask stream: xs and the base's queries (n, b, s, d) give (n, b, s, d)."""
    return _with_query_bias(queries + each_delta(xs, [branch.q for branch in branches]), branches)


def _with_query_bias(queries: Tensor, branches: Sequence[CrossFrame]) -> Tensor:
    biases = _present(branch.q_bias for branch in branches)
    return queries + torch.stack(biases)[:, None, None].to(queries) if biases else queries


@dataclass(frozen=True)
class CrossFrameBias:
    """Biases of the two references, of n adapters.

    Attributes:
        first: of all frames against frame 1, (n, b, f s, s).
        later: of frames 3..f against the frame before them, (n, b, f - 2, s, s); frame 1 precedes itself and frame 2.
    """

    first: Bias
    later: Bias

    def of(self, adapters: slice) -> CrossFrameBias:
        """The same for some of the adapters."""
        return CrossFrameBias(*(_map_bias(lambda x: x[adapters], bias) for bias in (self.first, self.later)))


def _map_bias(change: Callable[[Tensor], Tensor], bias: Bias) -> Bias:
    return Codes(*map(change, bias)) if isinstance(bias, Codes) else change(bias)


def separate_cross_frame(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    lambdas: Tensor,
    attend: Attend,
    frames: int,
    bias: CrossFrameBias | None = None,
) -> Tensor:
    """λ2 A(q_i, f^1) + λ3 A(q_i, f^prev(i)), a softmax for each reference (Eq. 2, before W_O).

    q (n, b f, s, d), k and v (b f, s, d), lambdas (n, b f, 2) give (n, b f, s, d).
    """
    queries = q.unflatten(1, (-1, frames))
    keys, values = (tokens.unflatten(0, (-1, frames)) for tokens in (k, v))
    to_first = None if bias is None else _map_bias(lambda x: x.flatten(0, 1), bias.first)
    first = _attend_all(queries.flatten(2, 3), keys[:, 0], values[:, 0], attend, to_first).unflatten(2, (frames, -1))
    prev = first
    if frames > 2:
        # Frames 1 and 2 are preceded by frame 1: what they got from it is not computed again.
        later = _attend_all(
            queries[:, :, 2:].flatten(1, 2),
            keys[:, 1:-1].flatten(0, 1),
            values[:, 1:-1].flatten(0, 1),
            attend,
            None if bias is None else _map_bias(lambda x: x.flatten(0, 2), bias.later),
        )
        prev = torch.cat((first[:, :, :2], later.unflatten(1, (-1, frames - 2))), dim=2)
    first_share, prev_share = lambdas.to(first)[..., None, None].unbind(2)
    return first_share * first.flatten(1, 2) + prev_share * prev.flatten(1, 2)


def _attend_all(q: Tensor, k: Tensor, v: Tensor, attend: Attend, bias: Bias | None) -> Tensor:
    """Queries of n adapters on the same keys: q (n, b, s, d), k and v (b, t, d), bias (n b, s, t) give (n, b, s, d)."""
    n, b, s, _ = q.shape
    if bias is None:
        # one long query for each key, so that k and v are not copied
        return attend(q.transpose(0, 1).flatten(1, 2), k, v).unflatten(1, (n, s)).transpose(0, 1)
    k, v = (tokens.expand(n, -1, -1, -1).flatten(0, 1) for tokens in (k, v))
    return attend(q.flatten(0, 1), k, v, bias=bias).unflatten(0, (n, b))


def joint_cross_frame(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    lambdas: Tensor,
    attend: Attend,
    frames: int,
    bias: CrossFrameBias | None = None,
    image: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """One softmax over the keys of both references, with values scaled by λ2 and λ3. Shapes as in the separate form.

    Args:
        image: keys and values (b f, s, d) of one more reference, scaled by 1.
    """
    k_first, v_first = (tokens[::frames].repeat_interleave(frames, dim=0) for tokens in (k, v))
    k_prev, v_prev = (previous_frame(tokens, frames) for tokens in (k, v))
    k_image, v_image = ([tokens] for tokens in image) if image else ([], [])
    keys = torch.cat((k_first, k_prev, *k_image), dim=1)
    first_share, prev_share = lambdas.to(v)[..., None, None].unbind(2)
    # the values differ from adapter to adapter, so there is no common attention to fold them into
    return torch.stack(
        [
            attend(
                queries,
                keys,
                torch.cat((to_first * v_first, to_prev * v_prev, *v_image), dim=1),
                bias=None if bias is None else _joint_bias(bias, j, frames),
            )
            for j, (queries, to_first, to_prev) in enumerate(zip(q, first_share, prev_share, strict=True))
        ]
    )


def _joint_bias(bias: CrossFrameBias, adapter: int, frames: int) -> Bias:
    """The bias of one adapter for the keys of both references at once, (b f, s, 2 s)."""
    first, later = bias.first, bias.later
    if isinstance(first, Codes) and isinstance(later, Codes):
        query = first.query[adapter].unflatten(1, (frames, -1))
        of_first = first.key[adapter][:, None].expand(-1, frames, -1, -1)
        of_prev = torch.cat((of_first[:, :2], later.key[adapter]), dim=1)
        return Codes(query.flatten(0, 1), torch.cat((of_first, of_prev), dim=2).flatten(0, 1))
    assert isinstance(first, Tensor) and isinstance(later, Tensor)  # both references have the same kind of bias
    to_first = first[adapter].unflatten(1, (frames, -1))
    to_prev = torch.cat((to_first[:, :2], later[adapter]), dim=1)
    return torch.cat((to_first, to_prev), dim=-1).flatten(0, 1)


def cross_frame_output(mixed: Tensor, branches: Sequence[CrossFrame], weights: Tensor) -> Tensor:
    """Σ_j w_j W_O^j(mixed_j): (n, b f, s, d) and weights (n,) give (b f, s, d)."""
    output = fan_in_deltas(mixed, [branch.out for branch in branches], weights)
    biases = _present(branch.bias for branch in branches)
    if not biases:
        return output
    bias = torch.stack(biases)
    return output + (weights.to(bias) @ bias).to(output)


def mask_output(mixed: Tensor, branches: Sequence[CrossFrame]) -> Tensor:
    """W_O^j(mixed_j) of every adapter's mask stream: (n, b f, s, d) in and out."""
    output = each_delta(mixed, [branch.out for branch in branches])
    biases = _present(branch.bias for branch in branches)
    return output + torch.stack(biases)[:, None, None].to(output) if biases else output


# --- prompt --------------------------------------------------------------------------------------------------------


def prompt_activation(hidden: Tensor, prompts: Sequence[Prompt], act: str) -> Tensor:
    """act(norm_j(hidden_j)) of every adapter (3.3.2): (n, b, s, r) in and out."""
    scales, shifts = (_present(getattr(prompt, name) for prompt in prompts) for name in ("norm_weight", "norm_bias"))
    if scales:
        scale, shift = (torch.stack(parameters).to(hidden) for parameters in (scales, shifts))
        normed = F.layer_norm(hidden, hidden.shape[-1:]).to(hidden)
        hidden = normed * scale[:, None, None] + shift[:, None, None]
    return F.gelu(hidden) if act == "gelu" else torch.softmax(hidden, dim=-1)
