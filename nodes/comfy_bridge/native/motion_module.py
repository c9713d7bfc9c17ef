"""AnimateDiff's motion modules in a MODEL of ComfyUI's own: Load Motion Module."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import comfy.model_management
import comfy.model_patcher
from comfy.ldm.modules.attention import SpatialTransformer
from comfy.ldm.modules.diffusionmodules.openaimodel import ResBlock, UNetModel
from comfy.model_sampling import EPS, ModelSamplingDiscrete
from comfy.patcher_extension import PatcherInjection, WrappersMP
from torch import Tensor, nn

from ....miva_core.bases.animatediff.files import MotionLayout
from ....miva_core.errors import MIVAError
from .motion_network import FRAMES, MotionModule, MotionNetwork, load_motion_network
from .pooled_norms import pooled_norms
from .unet_layout import is_sd15, width_of

KEY = "miva_motion"
"""Of what Load Motion Module puts into a MODEL."""


class ScaledLinearSampling(ModelSamplingDiscrete, EPS):
    """The betas that Stable Diffusion 1.5 and MIVAs were trained with, `scaled_linear`; AnimateDiff's are `linear`."""


def load_motion_module(path: str | os.PathLike[str]) -> Any:
    """Load a motion module for `apply_motion_module`.

    Args:
        path: AnimateDiff v1, v2 or v3, for Stable Diffusion 1.5.

    Returns:
        A ModelPatcher, by which ComfyUI manages its memory. Make one for each file, and keep it.

    Raises:
        MIVAError: the file is missing, damaged or something else; the message says what it is.
    """
    device = comfy.model_management.unet_offload_device()
    network = load_motion_network(path, comfy.model_management.unet_dtype(), device)
    kind = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)
    patcher = kind(network, load_device=comfy.model_management.get_torch_device(), offload_device=device)
    # how ComfyUI makes another one for a second graphics card
    patcher.cached_patcher_init = (load_motion_module, (path,))
    return patcher


def apply_motion_module(model: Any, patcher: Any) -> Any:
    """Put a motion module into a MODEL.

    Args:
        model: Stable Diffusion 1.5; it stays as it is.
        patcher: from `load_motion_module`.

    Returns:
        A MODEL with the motion module, and the betas that MIVAs were trained with.

    Raises:
        MIVAError: the MODEL is none of Stable Diffusion 1.5, or has a motion module already.
    """
    if not is_sd15(model.model.diffusion_model):
        kind = type(model.model.model_config).__name__
        raise MIVAError(f"The MODEL is {kind}, but motion modules need Stable Diffusion 1.5: load such a checkpoint.")
    if motion_networks(model):
        raise MIVAError("The MODEL has a motion module already: connect the MODEL from before that one was loaded.")
    network = patcher.model
    _check_widths(model.model.diffusion_model, network)
    changed = with_scaled_linear_betas(model.clone())
    changed.set_additional_models(KEY, [patcher])
    changed.set_injections(KEY, [PatcherInjection(_inject, _eject)])
    changed.set_model_forward_timestep_embed_patch((MotionModule, _run_motion_module))
    changed.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, KEY, _CountsFrames(network))
    return changed


def motion_networks(model: Any) -> list[nn.Module]:
    """The motion modules' networks in a MODEL, found by AnimateDiff's names for their parts, whoever put them there."""
    return [
        patcher.model
        for patcher in model.get_additional_models()
        if any(hasattr(module, "temporal_transformer") for module in patcher.model.modules())
    ]


def layout_of(network: nn.Module) -> MotionLayout:
    """Which version of AnimateDiff motion modules are, whoever loaded them."""
    positions: Any = next(module.pos_encoder for module in network.modules() if hasattr(module, "pos_encoder"))
    return MotionLayout(positions.pe.shape[1], getattr(network, "mid_block", None) is not None)


def pools_all_norms(network: nn.Module) -> bool:
    """Whether AnimateDiff-Evolved runs it with all norms of the U-Net over all frames, as it does version 1."""
    return layout_of(network).pools_frames and not isinstance(network, MotionNetwork)


def has_scaled_linear_betas(model: Any) -> bool:
    """Whether all noise levels of a MODEL are those of the betas that MIVAs were trained with.

    Distilled models have a few of them, in a schedule of their own.
    """
    known, own = ScaledLinearSampling().sigmas, model.get_model_object("model_sampling").sigmas.to("cpu")
    return bool(((own[:, None] - known).abs().amin(dim=1) <= 1e-3 * own).all())


def with_scaled_linear_betas(model: Any) -> Any:
    """The MODEL itself, whose betas are now those that MIVAs were trained with, if they were not."""
    if not has_scaled_linear_betas(model):
        model.add_object_patch("model_sampling", ScaledLinearSampling())
    return model


def _check_widths(unet: UNetModel, network: MotionNetwork) -> None:
    for block, module in _places(unet, network):
        width, expected = module.temporal_transformer.proj_in.in_features, width_of(block)
        if width != expected:
            raise MIVAError(
                f"The motion module has {width} channels where the MODEL has {expected}: take one that was made for "
                "Stable Diffusion 1.5."
            )


def _places(unet: UNetModel, network: MotionNetwork) -> Iterator[tuple[nn.Sequential, MotionModule]]:
    """The blocks of the U-Net that get a motion module, each with its own."""
    blocks = {"input": unet.input_blocks, "output": unet.output_blocks, "middle": [unet.middle_block]}
    for side, number, module in network.by_block():
        yield blocks[side][number], module


def _inject(model: Any) -> None:
    """Put its own motion modules into the U-Net of a MODEL, which may be a copy for a second graphics card."""
    (patcher,) = model.get_additional_models_with_key(KEY)
    try:
        for block, module in _places(model.model.diffusion_model, patcher.model):
            block.insert(_place_in(block), module)
    except BaseException:  # even the stop of a run, after which ComfyUI would not know that some are in
        _eject(model)
        raise


def _place_in(block: nn.Sequential) -> int:
    """Behind the last transformer of a block; behind its first ResNet where there is none."""
    spatial = [index for index, layer in enumerate(block) if type(layer) is SpatialTransformer]
    return 1 + (spatial[-1] if spatial else next(i for i, layer in enumerate(block) if isinstance(layer, ResBlock)))


def _eject(model: Any) -> None:
    unet = model.model.diffusion_model
    for block in (*unet.input_blocks, unet.middle_block, *unet.output_blocks):
        for index in reversed([index for index, layer in enumerate(block) if isinstance(layer, MotionModule)]):
            del block[index]


def _run_motion_module(
    layer: MotionModule, x: Tensor, emb: Tensor, context: Tensor, transformer_options: dict[str, Any], *_: Any
) -> Tensor:
    return layer(x, transformer_options[FRAMES], transformer_options)


class _CountsFrames:
    """A wrapper of the U-Net's forward pass that knows how many frames a clip has.

    Args:
        network: the motion modules.
    """

    def __init__(self, network: MotionNetwork) -> None:
        self._layout = network.layout

    def __call__(
        self,
        executor: Any,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor,
        y: Any,
        control: Any,
        transformer_options: dict[str, Any],
        **others: Any,
    ) -> Tensor:
        frames = len(x) // len(transformer_options.get("cond_or_uncond", [0]))
        if frames > self._layout.frames:
            raise MIVAError(
                f"The latent has {frames} frames, but the motion module reaches {self._layout.frames}: make it shorter."
            )
        options = transformer_options | {FRAMES: frames}
        unet, pools = executor.class_obj, self._layout.pools_frames
        with pooled_norms(unet, frames) if pools else nullcontext():
            return executor(x, timesteps, context, y, control, options, **others)
