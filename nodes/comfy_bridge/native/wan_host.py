"""Wan, as ComfyUI runs it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

from comfy.ldm.wan.model import WanModel
from torch import Tensor, nn

from ....miva_core.adapters.backbone import Backbone
from ....miva_core.attention.cross_attention import CrossAttention
from ....miva_core.attention.self_attention import SelfAttention
from ....miva_core.attention.strength import Part
from ....miva_core.bases.wan.sites import wan_backbone
from .call import Call
from .host_protocol import core_window, not_called
from .installer import NativeInstaller
from .wan_port import CrossAttentionForward, Replacement, SelfAttentionForward, TimeEmbeddingForward


class WanHost:
    """`Host` of Wan 2.1, of Wan 2.2 14B and of what has their blocks."""

    name = "Wan"
    size = (480, 832)
    frames = 17
    multiple = 16
    stride = 4
    scale = 8
    channels = 16
    text = (1, 1, 4096)
    prepends = True

    def owns(self, net: nn.Module) -> bool:
        return isinstance(net, WanModel)

    def check(self, model: Any) -> None:
        pass

    def notes(self, model: Any) -> tuple[str, ...]:
        return ()

    def backbone(self, model: Any) -> Backbone:
        net = model.get_model_object("diffusion_model")
        return wan_backbone(
            net.dim, net.num_heads, len(net.blocks), model.get_model_object("latent_format").latent_channels
        )

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
        replaced: list[tuple[Replacement, Any]] = []
        try:
            for replacement in acting:
                replaced.append((replacement, replacement.module.__dict__.get("forward")))
                replacement.module.__dict__["forward"] = replacement
            yield call
        finally:
            for replacement, before in replaced:
                del replacement.module.__dict__["forward"]
                if before is not None:
                    replacement.module.__dict__["forward"] = before
        if not adapters.proven:
            missed = [replacement.name for replacement in acting if not replacement.called]
            if missed:
                raise not_called(missed)
            adapters.proven = True


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
