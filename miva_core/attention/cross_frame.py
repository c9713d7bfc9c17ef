"""Cross-frame attention (3.3.1): every frame attends to the first and to the previous one.

Shapes: n adapters of equal config, b clips, f frames, s tokens per frame, d channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .linear_maps import each_delta, fan_in_deltas, fan_out_deltas
from .softmax_attention import Attend, Bias, Codes, map_bias
from .stacked import CrossFrames, Gates


def reference_weights(temb: Tensor, gates: Gates, temperature: float) -> Tensor:
    """Weights of the two references, (λ2, λ3) = φ(temb), of every adapter (3.3.1).

    Args:
        temb: (b, d_t), before SiLU, or (n, b, d_t) with rows of each adapter's own.
        gates: φ of n adapters.
        temperature: of their softmax.

    Returns:
        (n, b, 2), which sum to 1.
    """
    weight = gates.weight[:, None]
    # In the parameters' own precision, since a low temperature magnifies the rounding of half-precision logits, and as
    # a sum of products, since autocast would round a matrix product.
    logits = (F.silu(temb.to(weight))[..., None, :] * weight).sum(-1)
    logits = logits if gates.bias is None else logits + gates.bias[:, None]
    return torch.softmax(logits / temperature, dim=-1)


def previous_frame(tokens: Tensor, frames: int) -> Tensor:
    """Every frame's predecessor; the first frame precedes itself.

    Args:
        tokens: (b f, s, d)
        frames: f, of a clip.

    Returns:
        (b f, s, d)
    """
    clips = tokens.unflatten(0, (-1, frames))
    return torch.cat((clips[:, :1], clips[:, :-1]), dim=1).flatten(0, 1)


def cross_frame_queries(x: Tensor, query: Tensor, branches: CrossFrames) -> Tensor:
    """Queries of cross-frame attention, W_Q^j(x), of every adapter.

    Args:
        x: (b, s, d), input of the base's attention.
        query: (b, s, d), the base's query W_Q(x).
        branches: of n adapters.

    Returns:
        (n, b, s, d)
    """
    return _with_query_bias(query + fan_out_deltas(x, branches.q), branches)


def mask_queries(xs: Tensor, queries: Tensor, branches: CrossFrames) -> Tensor:
    """Queries of cross-frame attention, W_Q^j(x_j), of every adapter's mask stream.

    Args:
        xs: (n, b, s, d), input of the base's attention.
        queries: (n, b, s, d), the base's queries W_Q(x_j).
        branches: of n adapters, those for mask streams.

    Returns:
        (n, b, s, d)
    """
    return _with_query_bias(queries + each_delta(xs, branches.q), branches)


def _with_query_bias(queries: Tensor, branches: CrossFrames) -> Tensor:
    return queries if branches.q_bias is None else queries + branches.q_bias[:, None, None].to(queries)


@dataclass(frozen=True)
class CrossFrameBias:
    """Biases of the two references, of n adapters.

    Attributes:
        first: (n, b, f s, s), of all frames against frame 1.
        third_on: (n, b, f - 2, s, s), of frames 3..f, from the third on, against the frame before them; frame 1
            precedes itself and frame 2.
    """

    first: Bias
    third_on: Bias

    def of(self, columns: slice) -> CrossFrameBias:
        """The biases of some of the adapters."""
        return CrossFrameBias(*(map_bias(lambda x: x[columns], bias) for bias in (self.first, self.third_on)))


def separate_cross_frame(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    lambdas: Tensor,
    attend: Attend,
    frames: int,
    bias: CrossFrameBias | None = None,
) -> Tensor:
    """Attend to the first and to the previous frame, to each of them by itself.

    λ2 A(q_i, f^1) + λ3 A(q_i, f^prev(i)), which is Eq. 2 before W_O.

    Args:
        q: (n, b f, s, d), queries of n adapters.
        k: (b f, s, d), keys that all adapters share.
        v: (b f, s, d), values that all adapters share.
        lambdas: (n, b f, 2), see `reference_weights`.
        attend: the base's way to attend.
        frames: f, of a clip.
        bias: of both references.

    Returns:
        (n, b f, s, d)
    """
    queries = q.unflatten(1, (-1, frames))
    keys, values = (tokens.unflatten(0, (-1, frames)) for tokens in (k, v))
    to_first = None if bias is None else map_bias(lambda x: x.flatten(0, 1), bias.first)
    first = _attend_all(queries.flatten(2, 3), keys[:, 0], values[:, 0], attend, to_first).unflatten(2, (frames, -1))
    prev = first
    if frames > 2:
        # Frames 1 and 2 are preceded by frame 1: what they got from it is not computed again.
        third_on = _attend_all(
            queries[:, :, 2:].flatten(1, 2),
            keys[:, 1:-1].flatten(0, 1),
            values[:, 1:-1].flatten(0, 1),
            attend,
            None if bias is None else map_bias(lambda x: x.flatten(0, 2), bias.third_on),
        )
        prev = torch.cat((first[:, :, :2], third_on.unflatten(1, (-1, frames - 2))), dim=2)
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
    """Attend to the keys of the first and of the previous frame at once, as the released code does.

    Their values are scaled by λ2 and λ3.

    Args:
        q: (n, b f, s, d), queries of n adapters.
        k: (b f, s, d), keys that all adapters share.
        v: (b f, s, d), values that all adapters share.
        lambdas: (n, b f, 2), see `reference_weights`.
        attend: the base's way to attend.
        frames: f, of a clip.
        bias: of both references.
        image: keys and values (b f, s, d) of one more reference, scaled by 1.

    Returns:
        (n, b f, s, d)
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
    first, third_on = bias.first, bias.third_on
    if isinstance(first, Codes) and isinstance(third_on, Codes):
        query = first.query[adapter].unflatten(1, (frames, -1))
        of_first = first.key[adapter][:, None].expand(-1, frames, -1, -1)
        of_prev = torch.cat((of_first[:, :2], third_on.key[adapter]), dim=1)
        return Codes(query.flatten(0, 1), torch.cat((of_first, of_prev), dim=2).flatten(0, 1))
    assert isinstance(first, Tensor) and isinstance(third_on, Tensor)  # both references have the same kind of bias
    to_first = first[adapter].unflatten(1, (frames, -1))
    to_prev = torch.cat((to_first[:, :2], third_on[adapter]), dim=1)
    return torch.cat((to_first, to_prev), dim=-1).flatten(0, 1)


def cross_frame_output(mixed: Tensor, branches: CrossFrames, strengths: Tensor) -> Tensor:
    """Output of cross-frame attention, Σ_j w_j W_O^j(mixed_j).

    Args:
        mixed: (n, b f, s, d), see `separate_cross_frame`.
        branches: of n adapters.
        strengths: (n,), or (n, b f, s) with one for each token.

    Returns:
        (b f, s, d)
    """
    output = fan_in_deltas(mixed, branches.out, strengths)
    return output if branches.bias is None else output + strengths.to(output).movedim(0, -1) @ branches.bias.to(output)


def mask_output(mixed: Tensor, branches: CrossFrames) -> Tensor:
    """Output of cross-frame attention, W_O^j(mixed_j), of every adapter's mask stream.

    Args:
        mixed: (n, b f, s, d), see `separate_cross_frame`.
        branches: of n adapters, those for mask streams.

    Returns:
        (n, b f, s, d)
    """
    output = each_delta(mixed, branches.out)
    return output if branches.bias is None else output + branches.bias[:, None, None].to(output)
