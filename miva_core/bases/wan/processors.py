"""The attention processors for Wan, whose self-attention spans all frames at once."""

from __future__ import annotations

import torch
from torch import Tensor

from ...attention.cross_attention import CrossAttention, prompt_query
from ...attention.guidance import GridGuidance
from ...attention.linear_maps import each, fan_in, fan_out
from ...attention.port import AttentionPort
from ...attention.processor import total
from ...attention.prompt import prompt_gates
from ...attention.self_attention import SelfAttention


class WanSelfAttention(SelfAttention):
    """`SelfAttention` where a row holds all frames, one after the other: tokens (b, f s, d).

    The block multiplies the sum by its gate, so cross-frame attention is gated like self-attention.
    """

    def _project(self, port: AttentionPort, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # The gradients of x are summed in the reverse order of these calls, and a training goes on to the last digit.
        query, v = port.query(x), port.value(x)
        return query, port.key(x), v

    def _guidance(self, x: Tensor) -> GridGuidance | None:
        return self.context.guided(x.shape[1] // self.context.counted_frames())

    def _by_frame(self, tokens: Tensor) -> Tensor:
        """(..., b, f s, d) to (..., b f, s, d)"""
        return tokens.unflatten(-2, (self.context.frames, -1)).flatten(-4, -3)

    def _by_row(self, tokens: Tensor) -> Tensor:
        """(..., b f, s, d) to (..., b, f s, d)"""
        return tokens.unflatten(-3, (-1, self.context.frames)).flatten(-3, -2)


class WanCrossAttention(CrossAttention):
    """`CrossAttention` where a row holds all frames, and the base's query has a norm and a bias: tokens (b, f s, d).

    Σ_j w_j W2_j(act(norm_j(W1_j q))) + (1 - Σ_j w_j) CA(x, text) (3.3.2), q being the normed query.
    """

    def __call__(self, port: AttentionPort, x: Tensor, text: Tensor | None = None) -> Tensor:
        text_term = [] if text is None else [self._text_share(port, x, text)]
        clip_terms, mask_parts = self.prompts(port, x)
        return torch.cat([total([*text_term, *clip_terms]), *mask_parts])

    def prompts(self, port: AttentionPort, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        clips, gates, query = self.context.clip_rows(len(x)), self._gates(x), port.query(x)
        clip_terms, mask_parts = [], []
        for group in self.groups:
            prompts, q = group.prompts, prompt_query(group, port, query)
            hidden = self._activated(group, prompts, fan_out(q[:clips], prompts.first))
            clip_terms.append(fan_in(hidden, prompts.second, gates[group.columns]))
            if group.config.mask and self.context.streams:
                hidden = self._activated(group, prompts, each(group.mask_rows(q, clips), prompts.first))
                mask_parts.append(each(hidden, prompts.second).flatten(0, 1))
        return clip_terms, mask_parts

    def _gates(self, x: Tensor) -> Tensor:
        """`prompt_gates` where a row holds all frames: (n,) or (n, b, f s)."""
        frames, clips = self.context.counted_frames(), self.context.clip_rows(len(x))
        gates = prompt_gates(self.context, clips * frames, x.shape[1] // frames)
        return gates if gates.ndim == 1 else gates.unflatten(1, (-1, frames)).flatten(2, 3)
