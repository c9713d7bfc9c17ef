"""The attention processors for MiraMo, whose attention to a text may have a row for each frame, or for each clip."""

from __future__ import annotations

from torch import Tensor

from ...attention.context import Group
from ...attention.cross_attention import CrossAttention, prompt_query
from ...attention.port import AttentionPort


class MiraMoCrossAttention(CrossAttention):
    """`CrossAttention` of clips as of their frames; the base's query may have a norm and a bias.

    Tokens are (b f, s, d), or (b, f s, d) where all frames of a clip have the same text.
    """

    def __call__(self, port: AttentionPort, x: Tensor, text: Tensor | None = None) -> Tensor:
        rows = len(self.context.time_embedding()) * self.context.counted_frames()
        if text is not None:
            text = text.repeat_interleave(rows // len(text), 0)
        return super().__call__(port, x.reshape(rows, -1, x.shape[-1]), text).view_as(x)

    def _input(self, group: Group, port: AttentionPort, tokens: Tensor) -> Tensor:
        return prompt_query(group, port, tokens)
