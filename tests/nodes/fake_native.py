"""ComfyUI's own models and VAEs, and the modules that they come from, as far as this pack asks them.

Nothing here denoises: motions at work are tried with a real ComfyUI. The classes are made once, since the pack keeps
those that it has imported first.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn


class WrappersMP:
    """Kinds of wrappers, by the names that a MODEL keeps them under."""

    OUTER_SAMPLE = "outer_sample"
    PREPARE_SAMPLING = "prepare_sampling"
    CALC_COND_BATCH = "calc_cond_batch"
    APPLY_MODEL = "apply_model"
    DIFFUSION_MODEL = "diffusion_model"


class Attention(nn.Module):
    """The parts of Wan's attentions, without weights."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.num_heads, self.head_dim = heads, dim // heads
        self.q = self.k = self.v = self.o = self.norm_q = self.norm_k = nn.Identity()


class WanBlock(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.self_attn, self.cross_attn = Attention(dim, heads), Attention(dim, heads)


class WanModel(nn.Module):
    """Wan's network; `in_dim` above 16 is that of an image-to-video one."""

    patch_size, out_dim = (1, 2, 2), 16

    def __init__(self, dim: int = 8, heads: int = 2, blocks: int = 2, in_dim: int = 16) -> None:
        super().__init__()
        self.dim, self.num_heads, self.in_dim = dim, heads, in_dim
        self.blocks = nn.ModuleList(WanBlock(dim, heads) for _ in range(blocks))


class CausalWanModel(WanModel):
    """An autoregressive Wan."""


class VaceWanModel(WanModel):
    """A Wan with further blocks."""


class ResBlock(nn.Module):
    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels


class SpatialTransformer(nn.Module):
    def __init__(self, heads: int, text: int) -> None:
        super().__init__()
        own, of_text = SimpleNamespace(heads=heads), SimpleNamespace(to_k=SimpleNamespace(in_features=text))
        self.transformer_blocks = [SimpleNamespace(attn1=own, attn2=of_text)]


class UNetModel(nn.Module):
    """The U-Net of Stable Diffusion 1.5; others differ in the width of texts or the number of blocks."""

    in_channels, num_classes = 4, None
    widths, heads = (8, 16, 16, 16), 2

    def __init__(self, text: int = 768, levels: int = 4) -> None:
        super().__init__()
        made = [self._level(level, text, levels) for level in range(levels)]
        self.input_blocks = nn.ModuleList([nn.ModuleList([nn.Identity()])])
        for number, level in enumerate(made):
            self.input_blocks.extend(level[:2])
            self.input_blocks.extend([nn.ModuleList([nn.Identity()])] if number < levels - 1 else [])
        self.middle_block = nn.ModuleList([SpatialTransformer(self.heads, text)])
        self.output_blocks = nn.ModuleList(block for level in reversed(made) for block in level)

    def _level(self, level: int, text: int, levels: int) -> list[nn.ModuleList]:
        """Three blocks, of which the way down has the first two; the last level has no attention."""
        attends = [SpatialTransformer(self.heads, text)] if level < levels - 1 else []
        return [nn.ModuleList([ResBlock(self.widths[level]), *attends]) for _ in range(3)]


def motion_network(frames: int) -> nn.Module:
    """What AnimateDiff-Evolved loads of a motion module: it is known by the names of its parts."""
    network, layer, attention = nn.Module(), nn.Module(), nn.Module()
    attention.pos_encoder = nn.Module()
    attention.pos_encoder.register_buffer("pe", torch.zeros(1, frames, 8))
    layer.temporal_transformer = attention
    network.layer = layer
    return network


class Model:
    """A MODEL, ComfyUI's ModelPatcher: the network is shared by all clones, what is put into one is its own."""

    def __init__(self, net: nn.Module, kind: str, channels: int, shift: float | None = None) -> None:
        dimensions = 2 if shift is None else 3
        scaled = SimpleNamespace(
            latent_channels=channels, latent_dimensions=dimensions, process_in=lambda latent: latent * 2.0
        )
        levels = ModelSamplingDiscrete() if shift is None else FlowSampling(shift)
        objects = {"diffusion_model": net, "latent_format": scaled, "model_sampling": levels}
        self.model = SimpleNamespace(model_config=type(kind, (), {})(), **objects)
        self.model_options: dict[str, Any] = {"transformer_options": {}}
        self.kept: dict[str, dict[str, Any]] = {"attachments": {}, "models": {}, "wrappers": {}}

    def clone(self) -> "Model":
        made = object.__new__(Model)
        made.model, made.model_options = self.model, dict(self.model_options)
        made.kept = {name: dict(values) for name, values in self.kept.items()}
        return made

    def get_model_object(self, name: str) -> Any:
        return getattr(self.model, name)

    def get_attachment(self, key: str) -> Any:
        return self.kept["attachments"].get(key)

    def set_attachments(self, key: str, value: Any) -> None:
        self.kept["attachments"][key] = value

    def get_additional_models(self) -> list[Any]:
        return [one for models in self.kept["models"].values() for one in models]

    def set_additional_models(self, key: str, models: list[Any]) -> None:
        self.kept["models"][key] = models

    def add_wrapper_with_key(self, kind: str, key: str, wrapper: Callable[..., Any]) -> None:
        self.kept["wrappers"][kind, key] = wrapper

    def remove_wrappers_with_key(self, kind: str, key: str) -> None:
        self.kept["wrappers"].pop((kind, key), None)


def _sd15_sigmas() -> Tensor:
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    share = torch.cumprod(1 - betas, 0)
    return ((1 - share) / share).sqrt().float()


class ModelSamplingDiscrete:
    """The noise levels of Stable Diffusion."""

    def __init__(self) -> None:
        self.sigmas = _sd15_sigmas()


class CONST:
    """Of what predicts a flow."""


class FlowSampling(CONST):
    """The noise levels of Wan."""

    def __init__(self, shift: float) -> None:
        self.shift = shift


def wan(**shape: Any) -> Model:
    """MODEL: a Wan 2.1 of two blocks, with the shift that motions are trained with."""
    return Model(WanModel(**shape), "WAN21_T2V", 16, shift=5.0)


def sd15(frames: int | None = 32) -> Model:
    """MODEL: Stable Diffusion 1.5 with a motion module for so many frames, or without any."""
    model = Model(UNetModel(), "SD15", 4)
    if frames is not None:
        model.set_additional_models("ade", [SimpleNamespace(model=motion_network(frames))])
    return model


class Vae:
    """One of ComfyUI's VAEs: latents are the colours of 8 by 8 pixels and zeros; it keeps what it is given.

    Args:
        channels: 16 for Wan's, whose latent frames stand for four frames each after the first; 4 for others.
        stored: whether it holds weights, as that of a checkpoint without VAE does not.
        dimensions: of its latents, where others of so many channels have not as many: 2 or 3.
    """

    def __init__(self, channels: int, stored: bool = True, dimensions: int | None = None) -> None:
        self.latent_channels, self.first_stage_model = channels, object() if stored else None
        self.latent_dim = dimensions or (3 if channels == 16 else 2)
        self.encoded: list[Tensor] = []
        self.decoded: list[Tensor] = []

    def encode(self, pictures: Tensor) -> Tensor:
        self.encoded.append(pictures)
        colours = pictures.movedim(-1, 1).unflatten(-1, (-1, 8)).unflatten(-3, (-1, 8)).mean((-1, -3))
        latents = torch.cat([colours, torch.zeros(len(colours), self.latent_channels - 3, *colours.shape[-2:])], 1)
        return latents if self.latent_channels == 4 else latents.transpose(0, 1)[None]

    def decode(self, latents: Tensor) -> Tensor:
        self.decoded.append(latents)
        pixels = latents[:, :3].repeat_interleave(8, -1).repeat_interleave(8, -2).movedim(1, -1)
        return torch.cat([pixels[:, :1], pixels[:, 1:].repeat_interleave(4, 1)], 1)


def _unused(*_: Any) -> Any:
    raise AssertionError("nothing is denoised here")


MODULES: dict[str, dict[str, Any]] = {
    "comfy.patcher_extension": {"WrappersMP": WrappersMP, "PatcherInjection": SimpleNamespace},
    "comfy.model_sampling": {
        "CONST": CONST,
        "EPS": type("EPS", (), {}),
        "ModelSamplingDiscrete": ModelSamplingDiscrete,
    },
    "comfy.samplers": {"CFGGuider": _unused, "Sampler": object},
    "comfy.ops": {"manual_cast": SimpleNamespace()},
    "comfy.ldm.flux.math": {"apply_rope1": _unused},
    "comfy.ldm.modules.attention": {
        "FeedForward": nn.Module,
        "SpatialTransformer": SpatialTransformer,
        "optimized_attention": _unused,
    },
    "comfy.ldm.modules.diffusionmodules.openaimodel": {"ResBlock": ResBlock, "UNetModel": UNetModel},
    "comfy.ldm.wan.model": {"WanModel": WanModel, "VaceWanModel": VaceWanModel},
}
"""Members of ComfyUI's modules, by the names that they are imported by."""
