"""Stable Diffusion 1.5 with motion modules, as ComfyUI runs it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor, nn

from ....miva_core.adapters.backbone import Backbone
from ....miva_core.attention.strength import Part
from ....miva_core.attention.temporal_attention import TemporalAttention
from ....miva_core.errors import MIVAError
from .call import Call
from .forwards import with_forwards
from .host_protocol import core_window, network_of
from .installer import NativeInstaller, not_called
from .motion_module import (
    has_scaled_linear_betas,
    layout_of,
    motion_networks,
    pools_all_norms,
    with_scaled_linear_betas,
)
from .unet_layout import TWO_MOTION_MODELS, describe_native_unet, is_sd15, temporal_attentions
from .unet_patches import SpatialPatches
from .unet_port import TemporalSite

_EAGER = "miva_eager"


@torch.compiler.disable
def _run_eagerly(executor: Any, *arguments: Any, **named: Any) -> Tensor:
    """Run a U-Net as it is, though another node compiles it: what is compiled does not look whether patches in
    `transformer_options` have changed, so that it would go on to use those of the first pass."""
    output: Tensor = executor(*arguments, **named)
    return output


class UNetHost:
    """`Host` of Stable Diffusion 1.5 with motion modules, by Load Motion Module or AnimateDiff-Evolved."""

    name = "Stable Diffusion 1.5 with a motion module"
    size = (320, 512)
    frames = 16
    multiple = 8
    stride = 1
    scale = 8
    channels = 4
    text = (77, 768)
    drops_text = True
    prepends = False

    def owns(self, net: nn.Module) -> bool:
        return is_sd15(net)

    def check(self, model: Any) -> None:
        networks = motion_networks(model)
        if not networks:
            raise MIVAError(
                "This MODEL makes no clips: put Load Motion Module between it and Apply MIVA, or use one of "
                "AnimateDiff-Evolved's nodes that load a motion model."
            )
        if len(networks) > 1:
            raise MIVAError(TWO_MOTION_MODELS)
        if pools_all_norms(networks[0]):
            raise MIVAError(
                "AnimateDiff-Evolved runs motion models of version 1 in another way than motions were trained: put "
                "that one into Load Motion Module, or take version 2 or 3."
            )

    def prepare(self, model: Any) -> Any:
        model.remove_wrappers_with_key(WrappersMP.DIFFUSION_MODEL, _EAGER)
        model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, _EAGER, _run_eagerly)
        return with_scaled_linear_betas(model)

    def notes(self, model: Any) -> tuple[str, ...]:
        if has_scaled_linear_betas(model):
            return ()
        return ("The model's beta schedule is set to `scaled_linear`, which motions were trained with.",)

    def longest(self, model: Any) -> int | None:
        (network,) = motion_networks(model)
        return layout_of(network).frames

    def backbone(self, model: Any) -> Backbone:
        (network,) = motion_networks(model)
        return describe_native_unet(network_of(model), layout_of(network).middle)

    def to_clips(self, x: Tensor, clips: int) -> Tensor:
        return x.unflatten(0, (clips, -1)).transpose(1, 2)

    def to_model(self, clips: Tensor) -> Tensor:
        return clips.transpose(1, 2).flatten(0, 1)

    def window(self, options: dict[str, Any]) -> Sequence[int] | None:
        window = (options.get("ad_params") or {}).get("sub_idxs")
        if window is None:
            return core_window(options)
        if 0 not in window:
            raise MIVAError(
                "AnimateDiff-Evolved's context windows do not all begin with the picture, as motions need it: take "
                "them out, or use Load Motion Module with Context Windows (Manual), or make the clip in parts."
            )
        return list(window)

    @contextmanager
    def installed(self, adapters: NativeInstaller, net: nn.Module, call: Call) -> Iterator[Call]:
        """See `Host.installed`."""
        spatial, temporal = SpatialPatches(adapters, call.options), _temporal_sites(adapters, net)
        with with_forwards((site.module, site) for site in temporal):
            yield call.with_options(spatial.in_options())
        if not adapters.proven:
            adapters.judge([*spatial.missed(), *(site.name for site in temporal if not site.called)])


def _temporal_sites(adapters: NativeInstaller, net: Any) -> list[TemporalSite]:
    """What stands in place of the `forward` of attentions over time."""
    if Part.TEMPORAL not in adapters.acting:
        return []
    attentions = temporal_attentions(net)
    processors = {site.id: processor for site, processor in adapters.processors.items() if site.kind == "ta"}
    if lost := [name for name in processors if name not in attentions]:
        raise not_called(lost)
    running = ((name, attentions[name]) for name in processors if attentions[name] is not None)
    return [TemporalSite(cast(TemporalAttention, processors[name]), attention, name) for name, attention in running]
