"""Adapters in which every branch speaks, so that no zero hides a mistake."""

from dataclasses import replace
from functools import cache
from typing import Any

import comfy.model_management
import comfy.model_patcher
import torch
from comfyui_miva.miva_core import MIVAAdapter, MIVAConfig
from comfyui_miva.miva_core.adapters.backbone import Backbone
from comfyui_miva.miva_core.attention.strength import Level, Strength

SMALL = replace(MIVAConfig.default(), cfa_rank=32, ca_rank=32, ta_rank=8)
"""The default config with smaller ranks."""
CONFIGS = {
    "default": SMALL,
    "paper": replace(MIVAConfig.paper(), cfa_rank=32),
    "official_wan": MIVAConfig.official_wan(),
    "joint": replace(SMALL, cfa_softmax="joint"),
}
MASKED = replace(SMALL, mask=True)


@cache
def random_adapter(backbone: Backbone, config: MIVAConfig = SMALL, seed: int = 0) -> MIVAAdapter:
    """An adapter that changes what its base gives by about half; made once, so do not write to it."""
    with torch.inference_mode(False), torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        adapter = MIVAAdapter(backbone, config)
        for parameter in adapter.parameters():
            if not parameter.any():
                parameter += 0.1 * torch.randn_like(parameter)
    return adapter.requires_grad_(False)


@cache
def patcher_of(adapter: MIVAAdapter) -> Any:
    """The one ModelPatcher that an adapter keeps, as Load MIVA gives it."""
    patcher = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)
    return patcher(
        adapter,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )


def planned(
    adapter: MIVAAdapter, strength: Level | Strength = 1.0, span: tuple[float, float] = (0.0, 1.0), name: str = "miva"
) -> Any:
    """The adapter as a PlannedMotion without a mask."""
    from comfyui_miva.nodes.comfy_bridge.native.plan import PlannedMotion

    return PlannedMotion(name, adapter, patcher_of(adapter), strength, span, None)
