"""Spatial self-attention, to which adapters add cross-frame attention (3.3.1)."""

from __future__ import annotations

import torch
from torch import Tensor

from .context import Group
from .cross_frame import cross_frame_output, cross_frame_queries, mask_output, mask_queries
from .guidance import GridGuidance
from .port import AttentionPort
from .processor import Processor, of_tokens, total
from .references import mix_mask_references, mix_references
from .strength import Part


class SelfAttention(Processor):
    """The base's self-attention, to whose output every adapter adds attention to the first and the previous frame.

    y_i = SA(f^i) + Σ_j w_j W_O^j(λ2^j A(f^i, f^1) + λ3^j A(f^i, f^prev(i))) (Eq. 2), tokens (b f, s, d).

    The references use the keys and values that SA has just made. Under guidance SA is biased by all masks, each A by
    the mask of j (Eq. 3, S6). A mask stream has a W_Q and a W_O of its own, its own frames as references, and with
    image guidance the frame of its clip as a third one.
    """

    def __call__(self, port: AttentionPort, x: Tensor, text: Tensor | None = None) -> Tensor:
        query, key, v = self._project(port, x)
        q, k = port.rotate(port.norm_query(query)), port.rotate(key)
        y = port.output(self.attend(port, q, k, v))
        return y + self.change(port, x, query, key, k, v)

    def attend(self, port: AttentionPort, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The base's own attention SA before its output map; that of the clips is guided, that of masks is not."""
        guidance = self._guidance(q)
        if guidance is None:
            return port.attend(q, k, v)
        clips = self.context.clip_rows(len(q))
        guided = port.attend(q[:clips], k[:clips], v[:clips], guidance.self_attention)
        return torch.cat((guided, port.attend(q[clips:], k[clips:], v[clips:]))) if len(q) > clips else guided

    def change(self, port: AttentionPort, x: Tensor, query: Tensor, key: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """What adapters add to SA behind its output map.

        Args:
            port: the base's attention module.
            x: its input.
            query: its query, neither normed nor rotated.
            key: its key, not rotated.
            k: the same, rotated.
            v: its value.
        """
        guidance, clips = self._guidance(x), self.context.clip_rows(len(x))
        clip_terms, mask_parts = [], []
        for group in self.groups:
            tokens = x, query, k if group.config.cfa_rope else key, v
            clip_terms.append(self._cross_frame(group, port, guidance, *(part[:clips] for part in tokens)))
            if group.config.mask and self.context.streams:
                mask_parts.append(self._mask_cross_frame(group, port, clips, *tokens))
        return torch.cat([total(clip_terms), *mask_parts])

    def _cross_frame(
        self,
        group: Group,
        port: AttentionPort,
        guidance: GridGuidance | None,
        x: Tensor,
        query: Tensor,
        k: Tensor,
        v: Tensor,
    ) -> Tensor:
        branches = group.cross_frames
        queries = self._turned(group, port, cross_frame_queries(x, query, branches))
        bias = None if guidance is None else guidance.cross_frame.of(group.columns)
        queries, k, v = (self._by_frame(part) for part in (queries, k, v))
        mixed = mix_references(self.context, group, port.attend, queries, k, v, bias)
        return cross_frame_output(self._by_row(mixed), branches, self._strengths(group, mixed))

    def _strengths(self, group: Group, mixed: Tensor) -> Tensor:
        """(n,), or one for each token in the base's layout; mixed (n, b f, s, d)."""
        strengths = group.strengths(self.context, Part.CROSS_FRAME)
        if strengths.ndim == 1:
            return strengths
        return self._by_row(of_tokens(strengths, *mixed.shape[1:3])[..., None])[..., 0]

    def _mask_cross_frame(
        self, group: Group, port: AttentionPort, clips: int, x: Tensor, query: Tensor, k: Tensor, v: Tensor
    ) -> Tensor:
        branches = group.mask_cross_frames
        mask_x, mask_query, mask_k, mask_v = (group.mask_rows(part, clips) for part in (x, query, k, v))
        queries = self._turned(group, port, mask_queries(mask_x, mask_query, branches))
        tokens = (self._by_frame(part) for part in (queries, mask_k, mask_v, k[:clips], v[:clips]))
        mixed = mix_mask_references(self.context, group, port.attend, *tokens)
        return mask_output(self._by_row(mixed), branches).flatten(0, 1)

    def _turned(self, group: Group, port: AttentionPort, queries: Tensor) -> Tensor:
        queries = port.norm_query(queries)
        return port.rotate(queries) if group.config.cfa_rope else queries

    # What differs between bases; here each frame is a row of tokens.

    def _project(self, port: AttentionPort, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value."""
        return port.query(x), port.key(x), port.value(x)

    def _guidance(self, x: Tensor) -> GridGuidance | None:
        return self.context.guided(x.shape[1])

    def _by_frame(self, tokens: Tensor) -> Tensor:
        """Rows of the base's layout to a row for each frame, (..., b f, s, d)."""
        return tokens

    def _by_row(self, tokens: Tensor) -> Tensor:
        """Back to the base's layout."""
        return tokens
