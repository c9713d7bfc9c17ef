"""Wan's attention modules as the adapters' processors see them, and what stands in their place for a forward pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from comfy.ldm.flux.math import apply_rope1
from comfy.ldm.modules.attention import optimized_attention
from torch import Tensor, nn

from ....miva_core.attention.context import Context
from ....miva_core.attention.cross_attention import CrossAttention
from ....miva_core.attention.self_attention import SelfAttention
from ....miva_core.attention.softmax_attention import Bias, attend
from .mask_limits import references_with_masks

Forward = Callable[..., Tensor]


class WanPort:
    """An `AttentionPort` of a self- or cross-attention of Wan.

    Args:
        module: the attention.
        options: `transformer_options` of the call.
        rotary: rotations (1, s, 1, d / heads / 2, 2, 2) of the tokens; None for cross-attention.
        attend_text: the module's own attention to a text; None for self-attention.
    """

    def __init__(
        self, module: Any, options: dict[str, Any], rotary: Tensor | None = None, attend_text: Forward | None = None
    ) -> None:
        self._module, self._options, self._rotary, self._attend_text = module, options, rotary, attend_text

    def query(self, x: Tensor) -> Tensor:
        query: Tensor = self._module.q(x)
        return query

    def query_matrix(self, x: Tensor) -> Tensor | None:
        return None

    def key(self, x: Tensor) -> Tensor:
        key: Tensor = self._module.norm_k(self._module.k(x))
        return key

    def value(self, x: Tensor) -> Tensor:
        value: Tensor = self._module.v(x)
        return value

    def norm_query(self, query: Tensor) -> Tensor:
        normed: Tensor = self._module.norm_q(query)
        return normed

    def rotate(self, tokens: Tensor) -> Tensor:
        if self._rotary is None:
            return tokens
        heads = tokens.reshape(-1, tokens.shape[-2], self._module.num_heads, self._module.head_dim)
        turned: Tensor = apply_rope1(heads, self._rotary)
        return turned.reshape(tokens.shape)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, bias: Bias | None = None) -> Tensor:
        heads = self._module.num_heads
        if bias is not None:
            return attend(q, k, v, heads, bias)
        # the kernel that the user has chosen, and whatever other nodes have put in its place
        attended: Tensor = optimized_attention(q, k, v, heads=heads, transformer_options=self._options)
        return attended

    def output(self, y: Tensor) -> Tensor:
        output: Tensor = self._module.o(y)
        return output

    def attend_text(self, x: Tensor, text: Tensor) -> Tensor:
        assert self._attend_text is not None  # as in every cross-attention
        return self._attend_text(x, text)


class Replacement(ABC):
    """Stands in place of a module's `forward` while adapters act.

    Args:
        module: of Wan.
        name: dotted name of the module.

    Attributes:
        found: what it stands in place of: the module's own `forward`, or another node's.
        called: whether it was called.
    """

    def __init__(self, module: nn.Module, name: str) -> None:
        self.module, self.name = module, name
        self.found: Forward = module.forward
        self.called = False

    def __call__(self, *args: Any, **named: Any) -> Tensor:
        self.called = True
        return self.answer(*args, **named)

    @abstractmethod
    def answer(self, *args: Any, **named: Any) -> Tensor:
        """What the module is to answer."""


class SelfAttentionForward(Replacement):
    """The module's own attention, or what another node has put in its place, and cross-frame attention behind it."""

    def __init__(self, module: nn.Module, name: str, processor: SelfAttention) -> None:
        super().__init__(module, name)
        self.processor = processor
        self.part = slice(None)

    def answer(self, x: Tensor, freqs: Tensor, transformer_options: dict[str, Any] = {}, **_: Any) -> Tensor:  # noqa: B006 (as in ComfyUI)
        self._check_masks(x.shape[1])
        port = WanPort(self.module, transformer_options, freqs)
        query, v, key = port.query(x), port.value(x), port.key(x)
        k = port.rotate(key)
        if self._is_own or self.processor.context.guidance is not None:
            y = self._attended(port, query, k, v, transformer_options)
        else:
            y = self.found(x, freqs, transformer_options=transformer_options)
        part, of_part = self.part, WanPort(self.module, transformer_options, freqs[:, self.part])
        change = self.processor.change(of_part, *(tokens[:, part] for tokens in (x, query, key, k, v)))
        return y + change if change.shape == y.shape else _added(y, part, change)

    def _check_masks(self, tokens: int) -> None:
        context, part = self.processor.context, self.part
        if (context.streams or context.guidance is not None) and tokens > part.stop - part.start:
            raise references_with_masks()

    @property
    def _is_own(self) -> bool:
        return getattr(self.found, "__func__", None) is type(self.module).forward

    def _attended(self, port: WanPort, query: Tensor, k: Tensor, v: Tensor, options: dict[str, Any]) -> Tensor:
        """The module's own attention, with what other nodes do to it before its output map."""
        q = port.rotate(port.norm_query(query))
        y = self.processor.attend(port, q, k, v)
        for patch in options.get("patches", {}).get("attn1_patch", ()):
            by_head = (tokens.unflatten(-1, (self.module.num_heads, -1)) for tokens in (q, k))
            y = patch({"x": y, **dict(zip("qk", by_head, strict=True)), "transformer_options": options})
        return port.output(y)


def _added(y: Tensor, part: slice, change: Tensor) -> Tensor:
    y = y.clone()
    y[:, part] += change
    return y


class CrossAttentionForward(Replacement):
    """The adapters' prompts, and the module's own attention for the share of the text that they leave."""

    def __init__(self, module: nn.Module, name: str, processor: CrossAttention) -> None:
        super().__init__(module, name)
        self.processor = processor
        self.part = slice(None)
        self.hears_text = True

    def answer(self, x: Tensor, context: Tensor, *args: Any, **named: Any) -> Tensor:
        port = WanPort(self.module, {}, attend_text=lambda x, text: self.found(x, text, *args, **named))
        part = x[:, self.part]
        y = self.processor(port, part, context if self.hears_text else None)
        return y if part.shape == x.shape else self._among_others(port, x, y, context)

    def _among_others(self, port: WanPort, x: Tensor, y: Tensor, text: Tensor) -> Tensor:
        """With the tokens of references, which hear the text alone."""
        before, after = x[:, : self.part.start], x[:, self.part.stop :]
        heard = port.attend_text(torch.cat([before, after], dim=1), text)
        return torch.cat([heard[:, : before.shape[1]], y, heard[:, before.shape[1] :]], dim=1)


class TimeEmbeddingForward(Replacement):
    """The module itself, whose output the adapters read."""

    def __init__(self, module: nn.Module, name: str, context: Context) -> None:
        super().__init__(module, name)
        self.context = context
        self.rows = 1

    def answer(self, sinusoid: Tensor) -> Tensor:
        embedding = self.found(sinusoid)
        # Where each frame has a timestep of its own, that of the last, which is noisy, counts.
        self.context.temb = embedding.unflatten(0, (self.rows, -1))[:, -1]
        return embedding
