"""Attention of Stable Diffusion's U-Net as the adapters' processors see it, and what stands in its place for a pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from comfy.ldm.modules.attention import optimized_attention
from torch import Tensor

from ....miva_core.attention.cross_attention import CrossAttention
from ....miva_core.attention.self_attention import SelfAttention
from ....miva_core.attention.softmax_attention import Bias, attend
from ....miva_core.attention.temporal_attention import TemporalAttention
from ....miva_core.errors import MIVAError
from .motion_network import frames_of_places, places_over_time

Extra = dict[str, Any]
"""What ComfyUI tells a patch of a block: `n_heads`, `attn_precision`, and its `transformer_options` but for patches."""
Replacement = Callable[[Tensor, Tensor, Tensor, Extra], Tensor]
"""Attention from query, key and value, in place of a block's own."""


class _Port:
    """What no attention of this U-Net has: norms of queries, rotary positions, and a matrix that may be merged."""

    def query_matrix(self, x: Tensor) -> Tensor | None:
        return None

    def norm_query(self, query: Tensor) -> Tensor:
        return query

    def rotate(self, tokens: Tensor) -> Tensor:
        return tokens


class SpatialPort(_Port):
    """An `AttentionPort` of an attention whose query, key and value ComfyUI has made already.

    Its output map follows behind the patches in which processors are called, so that here it is none.

    Args:
        query: (b f, s, d), of this call.
        key: of this call.
        value: of this call.
        extra: of the block.
    """

    def __init__(self, query: Tensor, key: Tensor, value: Tensor, extra: Extra) -> None:
        self._query, self._key, self._value, self._extra = query, key, value, extra

    def query(self, x: Tensor) -> Tensor:
        return self._query

    def key(self, x: Tensor) -> Tensor:
        return self._key

    def value(self, x: Tensor) -> Tensor:
        return self._value

    def attend(self, q: Tensor, k: Tensor, v: Tensor, bias: Bias | None = None) -> Tensor:
        return _attend(q, k, v, bias, self._extra["n_heads"], self._extra)

    def output(self, y: Tensor) -> Tensor:
        return y

    def attend_text(self, x: Tensor, text: Tensor) -> Tensor:
        """The base has answered already: `text` is what it has said, (b f, s, d)."""
        return text


class TemporalPort(_Port):
    """An `AttentionPort` of an attention over time.

    Args:
        module: of a motion module, whoever has made it.
        places: of a frame, (h w).
        options: `transformer_options` of the call.
        key_scale: (c h w, f, 1) by which keys are multiplied, place by place, for some number c of clips; or None.
    """

    def __init__(self, module: Any, places: int, options: Mapping[str, Any], key_scale: Tensor | None) -> None:
        self._module, self._places, self._options, self._key_scale = module, places, options, key_scale

    def query(self, x: Tensor) -> Tensor:
        query: Tensor = self._module.to_q(x)
        return query

    def key(self, x: Tensor) -> Tensor:
        key: Tensor = self._module.to_k(x)
        return key

    def value(self, x: Tensor) -> Tensor:
        value: Tensor = self._module.to_v(x)
        return value

    def attend(self, q: Tensor, k: Tensor, v: Tensor, bias: Bias | None = None) -> Tensor:
        return _attend(q, self._scaled(k), v, bias, self._module.heads, self._options)

    def output(self, y: Tensor) -> Tensor:
        output: Tensor = self._module.to_out(y)
        return output

    def attend_text(self, x: Tensor, text: Tensor) -> Tensor:
        raise NotImplementedError("attention over time hears no text")

    def _scaled(self, k: Tensor) -> Tensor:
        """AnimateDiff-Evolved scales keys to make motions stronger, those of adapters like the module's own."""
        scale = getattr(self._module, "scale", None)
        k = k if scale is None else k * scale
        if self._key_scale is None:
            return k
        # It is the same for all clips, and for mask sequences as for clips.
        return (k.unflatten(0, (-1, self._places)) * self._key_scale[: self._places]).flatten(0, 1)


def _attend(q: Tensor, k: Tensor, v: Tensor, bias: Bias | None, heads: int, options: Mapping[str, Any]) -> Tensor:
    if bias is not None:
        return attend(q, k, v, heads, bias)
    # the kernel that the user has chosen, and whatever other nodes have put in its place
    precision = options.get("attn_precision")
    attended: Tensor = optimized_attention(q, k, v, heads, attn_precision=precision, transformer_options=options)
    return attended


class SelfAttentionSite:
    """Hooks of one spatial self-attention, in the order in which ComfyUI calls them; between them it keeps tensors.

    Args:
        processor: of the adapters.
        found: another node's replacement of this attention, if there is one.

    Attributes:
        called: whether the adapters were heard.
    """

    def __init__(self, processor: SelfAttention, found: Replacement | None) -> None:
        self._processor, self._found = processor, found
        self.called = False

    def see(self, x: Tensor) -> None:
        """Keep the input (b f, s, d)."""
        self._x = x

    def attend(self, q: Tensor, k: Tensor, v: Tensor, extra: Extra) -> Tensor:
        """The base's own attention, before its output map; what adapters add is kept."""
        context, port = self._processor.context, SpatialPort(q, k, v, extra)
        if len(q) != len(context.time_embedding()) * context.counted_frames():
            raise MIVAError(
                "Another node cuts attention into tiles (HyperTile), in which motions do not find their frames: take "
                "that node out."
            )
        self._change = self._processor.change(port, self._x, q, k, k, v)
        del self._x  # its memory, which the later blocks need
        if self._found is not None and context.guidance is None:
            return self._found(q, k, v, extra)
        return self._processor.attend(port, q, k, v)

    def add(self, y: Tensor) -> Tensor:
        """With what adapters add behind the output map."""
        self.called = True
        change = self._change
        del self._change
        return y + change


class CrossAttentionSite:
    """Hooks of one attention to the text, in the order in which ComfyUI calls them; between them it keeps tensors.

    Args:
        processor: of the adapters.
        found: another node's replacement of this attention, such as an IP-Adapter's, which gets the text's share.
        hears_answer: whether what is answered has a share.

    Attributes:
        called: whether the adapters were heard.
    """

    def __init__(self, processor: CrossAttention, found: Replacement | None, hears_answer: bool) -> None:
        self._processor, self._found, self._hears_answer = processor, found, hears_answer
        self.called = False

    def attend(self, q: Tensor, k: Tensor, v: Tensor, extra: Extra) -> Tensor:
        """The base's own attention, before its output map."""
        self._port = SpatialPort(q, k, v, extra)
        if self._found is not None:
            return self._found(q, k, v, extra)
        return _attend(q, k, v, None, extra["n_heads"], extra) if self._hears_answer else torch.zeros_like(q)

    def mix(self, answer: Tensor) -> Tensor:
        """Adapters' prompts, and the share that they leave to the base's answer."""
        self.called = True
        port = self._port
        del self._port
        # Prompts are made from queries; the answer stands for the text.
        return self._processor(port, port.query(answer), answer if self._hears_answer else None)


class TemporalSite:
    """Stands in place of the `forward` of one attention over time.

    Args:
        processor: of the adapters.
        module: of a motion module, whoever has made it.
        name: of the site.

    Attributes:
        module: as given.
        name: as given.
        called: whether the adapters were heard.
    """

    def __init__(self, processor: TemporalAttention, module: Any, name: str) -> None:
        self._processor, self.module, self.name = processor, module, name
        self.called = False

    def __call__(
        self,
        x: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        video_length: int | None = None,
        scale_mask: Tensor | None = None,
        transformer_options: Mapping[str, Any] | None = None,
        **others: Any,
    ) -> Tensor:
        """x (b f, h w, c); the names of the arguments are AnimateDiff's."""
        self.called = True
        frames, places = self._processor.context.counted_frames(), x.shape[1]
        if video_length != frames:
            raise MIVAError(
                f"The motion modules run over {video_length} frames, but the forward pass has {frames}: take "
                "ComfyUI's context windows or AnimateDiff-Evolved's view options out, or use Load Motion Module."
            )
        tokens = self.module.pos_encoder(places_over_time(x, frames)).to(x.dtype)
        port = TemporalPort(self.module, places, transformer_options or {}, scale_mask)
        return frames_of_places(self._processor(port, tokens), places)
