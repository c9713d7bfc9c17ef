"""The linear attentions of MiraMo as the adapters' processors see them. Its attention to a text is by a softmax."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...attention.softmax_attention import Bias, Codes
from ..diffusers_port import DiffusersPort
from .linear_attention import coded, cosine_attention, guided_cosine_attention, relu_attention, relu_sums


class SpatialPort(DiffusersPort):
    """SANA's linear attention within a frame. Queries of many frames and adapters read one sum of a frame's keys."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor, bias: Bias | None = None) -> Tensor:
        return _by_head(_relu_attention, self._attention.heads, q, k, v, bias)


class TemporalPort(DiffusersPort):
    """MiraMo's linear attention over the times of a place, which come as the rotary positions of the call."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor, bias: Bias | None = None) -> Tensor:
        return _by_head(self._cosine_attention, self._attention.heads, q, k, v, bias)

    def _cosine_attention(self, q: Tensor, k: Tensor, v: Tensor, codes: Codes | None) -> Tensor:
        assert not isinstance(self._rotary, tuple)  # those of MiraMo are one tensor of complex numbers
        if codes is None:
            return cosine_attention(q, k, v, self._rotary)
        return guided_cosine_attention(q, k, v, self._rotary, *codes)


def _relu_attention(q: Tensor, k: Tensor, v: Tensor, codes: Codes | None) -> Tensor:
    if codes is None:
        return relu_attention(q, relu_sums(k, v))
    # A share of ε is lost beside 1 in half precision.
    precise = torch.promote_types(q.dtype, torch.float32)
    q_coded, k_coded = coded(q.to(precise), codes.query), coded(k.to(precise), codes.key)
    return relu_attention(q_coded, relu_sums(k_coded, v)).to(q)


def _by_head(
    attend: Callable[[Tensor, Tensor, Tensor, Codes | None], Tensor],
    heads: int,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    bias: Bias | None,
) -> Tensor:
    """Attention of each head by itself: tokens (b, s, d) and codes (b, s, r), the same for all heads."""
    assert not isinstance(bias, Tensor)  # linear attention is guided by codes, see `LinearGuidance`
    q, k, v = (tokens.unflatten(-1, (heads, -1)).transpose(1, 2) for tokens in (q, k, v))
    codes = None if bias is None else Codes(*(code[:, None].expand(-1, heads, -1, -1) for code in bias))
    return attend(q, k, v, codes).transpose(1, 2).flatten(2)
