"""The attention processors for Wan, whose self-attention spans all frames at once; see `processors`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...attention.formulas import (
    attend,
    cross_frame_output,
    cross_frame_queries,
    each,
    fan_in,
    fan_out,
    own_output,
    own_queries,
    prompt_activation,
)
from ...attention.guidance import GridGuidance
from ...attention.processors import (
    Group,
    Processor,
    attend_guided,
    base_share,
    mix_own_references,
    mix_references,
    project_out,
    prompt_gates,
    refuse_mask,
)

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
        guidance = self.context.guided(hidden_states.shape[1] // self.context.counted_frames())
        clips = self.context.clip_rows(len(hidden_states))
        query, v = attn.to_q(hidden_states), attn.to_v(hidden_states)
        k = attn.norm_k(attn.to_k(hidden_states))
        q, rotated = (rotate(x, attn.heads, rotary_emb) for x in (attn.norm_q(query), k))
        y = project_out(attn, attend_guided(q, rotated, v, attn.heads, guidance and guidance.self_attention, clips))
        change, of_masks = 0, []
        for group in self.groups:
            rotary, keys = (rotary_emb, rotated) if group.config.cfa_rope else (None, k)
            tokens = hidden_states, query, keys, v
            change = change + self._cross_frame(group, attn, guidance, rotary, *(x[:clips] for x in tokens))
            if group.config.mask and self.context.streams:
                of_masks.append(self._mask_cross_frame(group, attn, clips, rotary, *tokens))
        return y + torch.cat([change, *of_masks])

    def _cross_frame(
        self,
        group: Group,
        attn: nn.Module,
        guidance: GridGuidance | None,
        rotary: Rotary | None,
        x: Tensor,
        query: Tensor,
        k: Tensor,
        v: Tensor,
    ) -> Tensor:
        branches = group.parts("cfa")
        queries = rotate(attn.norm_q(cross_frame_queries(x, query, branches)), attn.heads, rotary)
        bias = guidance and guidance.cross_frame.of(group.adapters)
        frames = (self._by_frame(tokens) for tokens in (queries, k, v))
        mixed = mix_references(self.context, group, *frames, attn.heads, bias)
        return cross_frame_output(self._by_clip(mixed), branches, group.weights(self.context))

    def _mask_cross_frame(
        self,
        group: Group,
        attn: nn.Module,
        clips: int,
        rotary: Rotary | None,
        x: Tensor,
        query: Tensor,
        k: Tensor,
        v: Tensor,
    ) -> Tensor:
        branches = group.parts("cfa_mask")
        own_x, own_query, own_k, own_v = (group.own_rows(tokens, clips) for tokens in (x, query, k, v))
        queries = rotate(attn.norm_q(own_queries(own_x, own_query, branches)), attn.heads, rotary)
        frames = (self._by_frame(tokens) for tokens in (queries, own_k, own_v, k[:clips], v[:clips]))
        mixed = mix_own_references(self.context, group, *frames, attn.heads)
        return own_output(self._by_clip(mixed), branches).flatten(0, 1)

    def _by_frame(self, tokens: Tensor) -> Tensor:
        """(..., b, f s, d) to (..., b f, s, d)"""
        return tokens.unflatten(-2, (self.context.frames, -1)).flatten(-4, -3)

    def _by_clip(self, tokens: Tensor) -> Tensor:
        """(..., b f, s, d) to (..., b, f s, d)"""
        return tokens.unflatten(-3, (-1, self.context.frames)).flatten(-3, -2)


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
        clips = self.context.clip_rows(len(hidden_states))
        query, text = attn.to_q(hidden_states), encoder_hidden_states[:clips]
        q = attn.norm_q(query[:clips])
        k, v = attn.norm_k(attn.to_k(text)), attn.to_v(text)
        # One token of text is all that every query can attend to; its output map then needs no more than one row.
        heard = v if v.shape[1] == 1 else attend(q, k, v, attn.heads)
        gates = self._gates(query.shape[1])
        y = base_share(gates, q) * project_out(attn, heard)
        of_masks = []
        for group in self.groups:
            prompts, q = group.parts("ca"), self._prompt_query(group, attn, query)
            first, second = ([getattr(prompt, name) for prompt in prompts] for name in ("first", "second"))
            hidden = prompt_activation(fan_out(q[:clips], first), prompts, group.config.ca_act)
            y = y + fan_in(hidden, second, gates[group.adapters])
            if group.config.mask and self.context.streams:
                hidden = prompt_activation(each(group.own_rows(q, clips), first), prompts, group.config.ca_act)
                of_masks.append(each(hidden, second).flatten(0, 1))
        return torch.cat([y, *of_masks])

    def _gates(self, tokens: int) -> Tensor:
        """`prompt_gates` where a row holds all frames: (n,) or (n, b, f s)."""
        frames = self.context.counted_frames()
        gates = prompt_gates(self.context, tokens // frames)
        return gates if gates.ndim == 1 else gates.unflatten(1, (-1, frames)).flatten(2, 3)

    def _prompt_query(self, group: Group, attn: nn.Module, query: Tensor) -> Tensor:
        if not group.config.ca_query_bias:
            # Asked of the layer, which may be quantised, offloaded or carry a LoRA.
            query = query - attn.to_q(torch.zeros_like(query[:, :1]))
        return attn.norm_q(query)


def rotate(tokens: Tensor, heads: int, rotary: Rotary | None) -> Tensor:
    """Rotary positions: tokens (..., s, d), cosines and sines (1, s, 1, d / heads) with each value twice."""
    if rotary is None:
        return tokens
    cos, sin = (table[..., ::2] for table in rotary)
    even, odd = tokens.unflatten(-1, (heads, -1, 2)).unbind(-1)
    turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    return turned.flatten(-3).type_as(tokens)
