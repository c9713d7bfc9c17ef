"""Wan, as ComfyUI runs it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import comfy.ldm.wan.model as wan
from torch import Tensor, nn

from ....miva_core.adapters.backbone import Backbone
from ....miva_core.attention.cross_attention import CrossAttention
from ....miva_core.attention.self_attention import SelfAttention
from ....miva_core.attention.strength import Part
from ....miva_core.bases.wan.sites import NOT_THE_5B, wan_backbone
from ....miva_core.errors import MIVAError
from .call import Call
from .forwards import with_forwards
from .host_protocol import core_window, network_of
from .installer import NativeInstaller
from .wan_port import CrossAttentionForward, Replacement, SelfAttentionForward, TimeEmbeddingForward

_KNOWN = ("WanModel", "VaceWanModel", "CameraWanModel")
"""Classes of networks whose tokens are those of the clip, in its order, but for references before and behind them."""
_PARTS = ("q", "k", "v", "o", "norm_q", "norm_k", "num_heads", "head_dim")
_SHIFT = 5.0
"""Of the noise schedule that motions are trained on."""


class WanHost:
    """`Host` of Wan 2.1, of Wan 2.2 14B and of what has their blocks."""

    name = "Wan"
    size = (480, 832)
    frames = 17
    multiple = 16
    stride = 4
    scale = 8
    channels = 16
    text = (1, 4096)
    drops_text = False
    prepends = True

    def owns(self, net: nn.Module) -> bool:
        return isinstance(net, wan.WanModel)

    def check(self, model: Any) -> None:
        net, kind = network_of(model), type(model.model).__name__
        if type(net).__name__ == "CausalWanModel":
            raise MIVAError(
                "This Wan makes its frames one after the other, while a motion needs all of them at once: load a Wan "
                "model that is not autoregressive."
            )
        if _channels(model) != self.channels:
            raise MIVAError(NOT_THE_5B)
        if type(net).__name__ not in _KNOWN or net.patch_size[0] != 1 or not all(map(_is_plain, net.blocks)):
            raise MIVAError(
                f"{kind} arranges its frames in a way of its own, for which there are no motions: load Wan 2.1, or Wan "
                "2.2 14B."
            )

    def prepare(self, model: Any) -> Any:
        return model

    def notes(self, model: Any) -> tuple[str, ...]:
        net, notes = network_of(model), []
        if net.in_dim != net.out_dim:
            notes.append(
                "This is an image-to-video Wan, which is shown the picture in a way of its own, too; motions are "
                "trained on text-to-video."
            )
        if isinstance(net, wan.VaceWanModel):
            notes.append("The blocks that VACE adds to Wan hear a prompt, and nothing of the motions.")
        shift = getattr(model.get_model_object("model_sampling"), "shift", _SHIFT)
        if shift != _SHIFT:
            notes.append(
                f"Its noise schedule has shift {shift:g}, and motions are trained with {_SHIFT:g}: put "
                "ModelSamplingSD3 with that before this node."
            )
        return tuple(notes)

    def longest(self, model: Any) -> int | None:
        return None

    def backbone(self, model: Any) -> Backbone:
        net = network_of(model)
        return wan_backbone(net.dim, net.num_heads, len(net.blocks), _channels(model))

    def to_clips(self, x: Tensor, clips: int) -> Tensor:
        return x

    def to_model(self, clips: Tensor) -> Tensor:
        return clips

    def window(self, options: dict[str, Any]) -> Sequence[int] | None:
        return core_window(options)

    @contextmanager
    def installed(self, adapters: NativeInstaller, net: nn.Module, call: Call) -> Iterator[Call]:
        """See `Host.installed`."""
        if adapters.prepared is None:
            adapters.prepared = _replacements(net, adapters)
        acting = _acting(adapters)
        part = _clip_tokens(net, call)
        for replacement in acting:
            _set_up(replacement, adapters, call, part)
        # Bound methods, since torch.compile would compile each block for an object of its own, in every run anew.
        with with_forwards((replacement.module, replacement.__call__) for replacement in acting):
            yield call
        if not adapters.proven:
            adapters.judge([replacement.name for replacement in acting if not replacement.called])


def _channels(model: Any) -> int:
    channels: int = model.get_model_object("latent_format").latent_channels
    return channels


def _is_plain(block: Any) -> bool:
    """Whether a block's attentions have the parts that the adapters' processors see."""
    attentions = [getattr(block, name, None) for name in ("self_attn", "cross_attn")]
    return all(hasattr(attention, part) for attention in attentions for part in _PARTS)


def _replacements(net: Any, adapters: NativeInstaller) -> list[Replacement]:
    made: list[Replacement] = [TimeEmbeddingForward(net.time_embedding, "time_embedding", adapters.context)]
    for place, (site, processor) in enumerate(adapters.processors.items()):
        name, block = f"blocks.{place // 2}", net.blocks[place // 2]
        if site.kind == "sa":
            made.append(SelfAttentionForward(block.self_attn, f"{name}.self_attn", cast(SelfAttention, processor)))
        else:
            made.append(CrossAttentionForward(block.cross_attn, f"{name}.cross_attn", cast(CrossAttention, processor)))
    return made


def _acting(adapters: NativeInstaller) -> list[Replacement]:
    cross_frame, prompt = (part in adapters.acting for part in (Part.CROSS_FRAME, Part.PROMPT))
    return [one for one in adapters.prepared if (prompt if isinstance(one, CrossAttentionForward) else cross_frame)]


def _set_up(replacement: Replacement, adapters: NativeInstaller, call: Call, part: slice) -> None:
    """Tell a replacement what differs from pass to pass."""
    if isinstance(replacement, TimeEmbeddingForward):
        replacement.rows = len(call.x)
    elif isinstance(replacement, SelfAttentionForward):
        replacement.part = part
    elif isinstance(replacement, CrossAttentionForward):
        replacement.part, replacement.hears_text = part, adapters.hears_text


def _clip_tokens(net: Any, call: Call) -> slice:
    """Where the tokens of the clip are: those of a reference picture stand before them, those of others behind."""
    _, patch_height, patch_width = net.patch_size
    frames, height, width = call.x.shape[2:]
    reference = call.named.get("reference_latent") if net.ref_conv is not None else None
    start = 0 if reference is None else (reference.shape[-2] // patch_height) * (reference.shape[-1] // patch_width)
    return slice(start, start + frames * -(-height // patch_height) * -(-width // patch_width))
