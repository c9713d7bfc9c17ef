"""The attention processors for Wan, whose self-attention spans all frames at once; see `processors`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .attention import attend, cross_frame_output, cross_frame_queries, fan_out, prompt_output
from .processors import Group, Processor, base_share, mix_references, project_out, refuse_mask

Rotary = tuple[Tensor, Tensor]


class WanSelfAttention(Processor):
    """SA(x) + Σ_j w_j W_O^j(λ2^j A(f^i, f^1) + λ3^j A(f^i, f^prev(i))) (Eq. 2), tokens (b, f s, d), frame by frame.

    The block multiplies the sum by its gate, so cross-frame attention is gated like self-attention.
    """

    def __call__(
        self,
        attn: nn.Module,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: Rotary | None = None,
    ) -> Tensor:
        refuse_mask(attention_mask)
        query, v = attn.to_q(hidden_states), attn.to_v(hidden_states)
        k = attn.norm_k(attn.to_k(hidden_states))
        rotated = rotate(k, attn.heads, rotary_emb)
        y = project_out(attn, attend(rotate(attn.norm_q(query), attn.heads, rotary_emb), rotated, v, attn.heads))
        for group in self.groups:
            rotary, keys = (rotary_emb, rotated) if group.config.cfa_rope else (None, k)
            y = y + self._cross_frame(group, attn, hidden_states, query, keys, v, rotary)
        return y

    def _cross_frame(
        self, group: Group, attn: nn.Module, x: Tensor, query: Tensor, k: Tensor, v: Tensor, rotary: Rotary | None
    ) -> Tensor:
        branches = group.parts("cfa")
        queries = attn.norm_q(cross_frame_queries(x, query, branches))
        queries = rotate(queries, attn.heads, rotary)
        frames = self.context.counted_frames()
        queries, k, v = (tokens.unflatten(-2, (frames, -1)).flatten(-4, -3) for tokens in (queries, k, v))
        mixed = mix_references(self.context, group, queries, k, v, attn.heads)
        mixed = mixed.unflatten(1, (-1, frames)).flatten(2, 3)
        return cross_frame_output(mixed, branches, group.weights(self.context))


class WanCrossAttention(Processor):
    """Σ_j w_j W2_j(act(norm_j(W1_j q))) + (1 - Σ_j w_j) CA(x, text) (3.3.2), tokens (b, f s, d).

    q is the base's normed query. The text is always there: Wan cannot run without one.
    """

    def __call__(
        self,
        attn: nn.Module,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        rotary_emb: Rotary | None = None,
    ) -> Tensor:
        refuse_mask(attention_mask)
        query = attn.to_q(hidden_states)
        q = attn.norm_q(query)
        k, v = attn.norm_k(attn.to_k(encoder_hidden_states)), attn.to_v(encoder_hidden_states)
        # One token of text is all that every query can attend to; its output map then needs no more than one row.
        heard = v if v.shape[1] == 1 else attend(q, k, v, attn.heads)
        y = base_share(self.context, q) * project_out(attn, heard)
        for group in self.groups:
            y = y + self._prompt(group, attn, query)
        return y

    def _prompt(self, group: Group, attn: nn.Module, query: Tensor) -> Tensor:
        if not group.config.ca_query_bias:
            # Asked of the layer, which may be quantised, offloaded or carry a LoRA.
            query = query - attn.to_q(torch.zeros_like(query[:, :1]))
        q = attn.norm_q(query)
        prompts = group.parts("ca")
        hidden = fan_out(q, [prompt.first for prompt in prompts])
        return prompt_output(hidden, prompts, group.config.ca_act, group.weights(self.context))


def rotate(tokens: Tensor, heads: int, rotary: Rotary | None) -> Tensor:
    """Rotary positions: tokens (..., s, d), cosines and sines (1, s, 1, d / heads) with each value twice."""
    if rotary is None:
        return tokens
    cos, sin = (table[..., ::2] for table in rotary)
    even, odd = tokens.unflatten(-1, (heads, -1, 2)).unbind(-1)
    turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    return turned.flatten(-3).type_as(tokens)
