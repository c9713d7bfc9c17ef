"""Networks of ComfyUI's own at their real width, and what a step of a sampler calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import comfy.ldm.modules.attention as attention
import comfy.model_patcher
import comfy.supported_models
import torch
from comfyui_miva.miva_core import MIVAAdapter, MIVAConfig
from comfyui_miva.miva_core.adapters.backbone import Backbone
from comfyui_miva.miva_core.bases.animatediff.files import MotionLayout
from comfyui_miva.miva_core.storage.meta_device import on_meta
from comfyui_miva.nodes.comfy_bridge.native.apply import apply_plan
from comfyui_miva.nodes.comfy_bridge.native.course import Course
from comfyui_miva.nodes.comfy_bridge.native.host import find_host
from comfyui_miva.nodes.comfy_bridge.native.motion_module import apply_motion_module, with_scaled_linear_betas
from comfyui_miva.nodes.comfy_bridge.native.motion_network import MotionNetwork
from comfyui_miva.nodes.comfy_bridge.native.network_noise import NetworkNoise
from comfyui_miva.nodes.comfy_bridge.native.plan import KEY, Plan, PlannedMotion
from comfyui_miva.nodes.comfy_bridge.native.run import Run
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from tests.comfyui.native.adapters import patcher_of
from tests.comfyui.native.sd15_models import SHAPE

CPU, META = torch.device("cpu"), torch.device("meta")
WAN = {"image_model": "wan2.1", "model_type": "t2v", "dim": 1536, "ffn_dim": 8960, "num_heads": 12}


@dataclass(frozen=True)
class Network:
    """A MODEL on some device, and what one step gives to its network.

    Attributes:
        latent: shape of the batch. width: channels of a text.
    """

    model: Any
    latent: tuple[int, ...]
    width: int

    @property
    def device(self) -> torch.device:
        return next(self.model.model.diffusion_model.parameters()).device

    def motions(self, weights: Sequence[float], masked: int = 0) -> list[PlannedMotion]:
        """Motions of the default config, the last of them masked."""
        backbone: Backbone = find_host(self.model).backbone(self.model)
        plain, last = MIVAConfig.default(), replace(MIVAConfig.default(), mask=True)
        configs = [plain] * (len(weights) - masked) + [last] * masked
        with self.device:
            adapters = [MIVAAdapter(backbone, config).requires_grad_(False) for config in configs]
        return [
            PlannedMotion(str(k), adapter, patcher_of(adapter), weight)
            for k, (adapter, weight) in enumerate(zip(adapters, weights, strict=True))
        ]

    def step(self, motions: Sequence[PlannedMotion], words: int, rows: Any = None, guided: bool = False) -> Callable:
        """A call of the network, as a sampler's step makes it.

        Args:
            motions: that act; none: the MODEL as it is.
            words: of the text.
            rows: mask rows that are due. guided: whether masks guide the call.
        """
        model, host = self.model, find_host(self.model)
        x = torch.zeros(self.latent, device=self.device)
        picture = host.to_clips(x, 1)[:, :, :1]
        options: dict[str, Any] = {"cond_or_uncond": [0]}
        if motions:
            plan = Plan(tuple(motions), picture, host.to_clips(x, 1).shape[2])
            noise = NetworkNoise(model.get_model_object("model_sampling"))
            course = Course([1.0, 0.0], lambda share: 1 - share, noise, begins=True)
            model, run = apply_plan(model, plan), Run(plan, host, host.backbone(model), picture, course)
            run.move_to(0.7)
            if guided:
                masks = picture.new_zeros(1, *host.to_clips(x, 1).shape[2:])
                run.mask_rows = KnownMasks({one.name: masks for one in motions if one.adapter.config.mask})
                run.advance_masks()
            run.mask_rows = rows
            options[KEY] = run
        own = model.model_options["transformer_options"]
        wrappers = {kind: {key: list(of) for key, of in keyed.items()} for kind, keyed in model.wrappers.items()}
        # The attention that torch has; ComfyUI's own choice for processors depends on free memory.
        options |= {**own, "wrappers": wrappers, "optimized_attention_override": torch_attention}
        inputs = x, x.new_full((len(x),), 700.0), x.new_zeros(len(x), words, self.width)
        net = model.model.diffusion_model

        def call() -> Tensor:
            model.inject_model()  # motion modules, where there are some
            try:
                output: Tensor = net(inputs[0], inputs[1], context=inputs[2], transformer_options=dict(options))
            finally:
                model.eject_model()
            return output

        return call


def torch_attention(_: Any, *arguments: Any, **named: Any) -> Tensor:
    return attention.attention_pytorch(*arguments, **named)


@dataclass
class KnownMasks:
    """Mask rows that have come to these masks, (1, F, h, w) by name of their motion."""

    masks: dict[str, Tensor]

    def advance(self, sigma: float) -> dict[str, Tensor]:
        return self.masks


@dataclass
class DueRows:
    """Mask rows that are due at every call."""

    latents: Tensor

    def __len__(self) -> int:
        return len(self.latents)

    @property
    def timestep(self) -> Tensor:
        return torch.full((len(self),), 900.0)

    def due(self, sigma: float) -> bool:
        return True

    def hear(self, output: Tensor) -> None:
        pass


def wan_network(device: torch.device, blocks: int, latent: tuple[int, ...]) -> Network:
    """Wan 2.1 1.3B with so many blocks, weights random unless on the meta device."""
    config = comfy.supported_models.WAN21_T2V({**WAN, "num_layers": blocks})
    return Network(_patcher(config, device), latent, 4096)


def sd15_network(device: torch.device, latent: tuple[int, ...]) -> Network:
    """Stable Diffusion 1.5 with motion modules of version 3."""
    config = comfy.supported_models.SD15(SHAPE | {"model_channels": 320, "channel_mult": (1, 2, 4, 4)})
    motion = on_meta(lambda: MotionNetwork((320, 640, 1280, 1280), MotionLayout(frames=32, middle=False)))
    patcher = comfy.model_patcher.ModelPatcher(motion.requires_grad_(False), device, device)
    model = apply_motion_module(with_scaled_linear_betas(_patcher(config, device)), patcher)
    return Network(model, latent, 768)


def _patcher(config: Any, device: torch.device) -> Any:
    config.set_inference_dtype(torch.float32, None)
    model = config.get_model({}, "", device=device)
    net = model.diffusion_model.requires_grad_(False).eval()
    if device != META:
        generator = torch.Generator().manual_seed(0)
        for parameter in net.parameters():
            parameter.copy_(0.02 * torch.randn(parameter.shape, generator=generator))
    return comfy.model_patcher.ModelPatcher(model, device, device)


def operations(run: Callable[[], object]) -> int:
    """Floating-point operations, a multiply-add being two."""
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())
