"""Attention modules of diffusers as the adapters' processors see them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..attention.processor import Processor
from ..attention.softmax_attention import Bias, attend
from ..errors import MIVAError

Rotary = tuple[Tensor, Tensor] | Tensor
"""Rotary positions: cosines and sines, (1, s, 1, d / heads) with each value twice; or what a model has for them."""


class DiffusersPort:
    """An `AttentionPort` of an attention module of diffusers, of `Attention` or one that has the same parts.

    Args:
        attention: the module.
        rotary: the rotary positions of this call, None where the model has none.
    """

    def __init__(self, attention: Any, rotary: Rotary | None) -> None:
        self._attention = attention
        self._rotary = rotary

    def query(self, x: Tensor) -> Tensor:
        return self._attention.to_q(x)

    def query_matrix(self, x: Tensor) -> Tensor | None:
        layer = self._attention.to_q
        plain = type(layer) is nn.Linear and layer.bias is None and layer.weight.device == x.device
        return layer.weight if plain else None

    def key(self, x: Tensor) -> Tensor:
        key, norm = self._attention.to_k(x), self._attention.norm_k
        return key if norm is None else norm(key)

    def value(self, x: Tensor) -> Tensor:
        return self._attention.to_v(x)

    def norm_query(self, query: Tensor) -> Tensor:
        norm = self._attention.norm_q
        return query if norm is None else norm(query)

    def rotate(self, tokens: Tensor) -> Tensor:
        return tokens if self._rotary is None else _rotate(tokens, self._attention.heads, *self._rotary)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, bias: Bias | None = None) -> Tensor:
        return attend(q, k, v, self._attention.heads, bias)

    def output(self, y: Tensor) -> Tensor:
        projection, dropout = self._attention.to_out
        return dropout(projection(y))

    def attend_text(self, x: Tensor, text: Tensor) -> Tensor:
        value = self.value(text)
        # One token of text is all that every query can attend to; its output map then needs no more than one row.
        if value.shape[1] > 1:
            value = self.attend(self.norm_query(self.query(x)), self.key(text), value)
        return self.output(value)


class DiffusersProcessor:
    """Stands at an attention module of diffusers in the place of its own processor.

    Args:
        processor: what adapters compute there.
        port: how it sees the module.
    """

    def __init__(self, processor: Processor, port: type[DiffusersPort] = DiffusersPort) -> None:
        self.processor = processor
        self._port = port

    def __call__(
        self,
        attn: nn.Module,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: Rotary | None = None,
    ) -> Tensor:
        """The module's output; diffusers passes these arguments by these names."""
        if attention_mask is not None:
            raise MIVAError("The model was called with an attention mask, which adapters do not support; leave it out.")
        return self.processor(self._port(attn, rotary_emb), hidden_states, encoder_hidden_states)


def _rotate(tokens: Tensor, heads: int, cosines: Tensor, sines: Tensor) -> Tensor:
    cos, sin = (table[..., ::2] for table in (cosines, sines))
    even, odd = tokens.unflatten(-1, (heads, -1, 2)).unbind(-1)
    turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    return turned.flatten(-3).type_as(tokens)
