"""Small bases on random weights, and the codec of their pictures."""

from dataclasses import replace
from typing import Any

import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler, UNetMotionModel, WanTransformer3DModel
from torch import Tensor, nn

from miva_core import Base, NoiseInit, describe
from miva_core.bases.miramo.caption_layers import guided_entries
from miva_core.bases.miramo.flowing_miramo import FlowingMiraMo
from miva_core.bases.tiny.patch_codec import PatchCodec
from miva_core.bases.wan.releases import WAN_2_1_1_3B, Release


def small_unet(**config: Any) -> UNetMotionModel:
    """Frozen, random, two levels 16 and 32 wide, heads of 8 channels, float32."""
    defaults = {
        "sample_size": 8,
        "down_block_types": ("CrossAttnDownBlockMotion", "CrossAttnDownBlockMotion"),
        "up_block_types": ("CrossAttnUpBlockMotion", "CrossAttnUpBlockMotion"),
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "cross_attention_dim": 16,
        "num_attention_heads": (2, 4),
        "motion_num_attention_heads": (2, 4),
        "motion_max_seq_length": 16,
        "use_motion_mid_block": False,
    }
    return UNetMotionModel(**(defaults | config)).eval().requires_grad_(False)


def small_transformer(**config: Any) -> WanTransformer3DModel:
    """Frozen, random, two blocks of two heads of 12 channels, float32."""
    defaults = {
        "num_attention_heads": 2,
        "attention_head_dim": 12,
        "in_channels": 4,
        "out_channels": 4,
        "text_dim": 16,
        "freq_dim": 32,
        "ffn_dim": 40,
        "num_layers": 2,
        "rope_max_seq_len": 32,
    }
    return WanTransformer3DModel(**(defaults | config)).eval().requires_grad_(False)


def small_flowing(**config: Any) -> FlowingMiraMo:
    """Frozen, random, one block of two heads of 8 channels, captions of vectors of 12 numbers, float32."""
    defaults = {
        "in_channels": 4,
        "out_channels": 4,
        "num_attention_heads": 2,
        "attention_head_dim": 8,
        "num_layers": 1,
        "num_cross_attention_heads": 2,
        "cross_attention_head_dim": 8,
        "cross_attention_dim": 16,
        "caption_channels": 12,
        "patch_size": 1,
        "sample_size": 4,
    }
    model = FlowingMiraMo(**(defaults | config)).eval().requires_grad_(False)
    # As trained ones have, and so that nothing of an answer is zero.
    nn.init.normal_(model.proj_out.weight, std=0.1)
    model.patches.fit(torch.rand(256, 192) * 2 - 1)
    return model


class HalfCodec(nn.Module):
    """Latents that are every second pixel, in four channels; its encoder answers a spread of 0.1.

    Args:
        stride: frames to a latent frame, after the first.
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.network = nn.Identity()  # it has no weights

    def encode(self, pictures: Tensor) -> Tensor:
        return torch.cat([pictures, pictures.mean(1, keepdim=True)], dim=1)[:, :, ::2, ::2]

    def encode_clip(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        later = frames[1:].unflatten(0, (-1, self.stride)).mean(1)
        latents = self.encode(torch.cat([frames[:1], later]))
        return latents, torch.full_like(latents, 0.1)

    def decode(self, latents: Tensor) -> Tensor:
        frames = latents[:, :3].repeat_interleave(2, -1).repeat_interleave(2, -2)
        return torch.cat([frames[:1], frames[1:].repeat_interleave(self.stride, 0)])


def small_animatediff() -> Base:
    """For clips of 5 frames of 16 x 12 pixels; it predicts noise and runs without a text."""
    return _base("animatediff", small_unet(), HalfCodec(1), DDIMScheduler(clip_sample=False), (12, 16))


def small_wan(release: Release = WAN_2_1_1_3B, **config: Any) -> Base:
    """For clips of 5 frames of 16 x 16 pixels, two latent frames; it predicts flow."""
    scheduler = FlowMatchEulerDiscreteScheduler(shift=5.0)
    model = small_transformer(**config)
    base = _base(release.name, model, HalfCodec(4), scheduler, (16, 16), text=torch.zeros(1, 1, 16))
    return replace(base, levels=release.levels, release="" if release is WAN_2_1_1_3B else release.menu)


def small_miramo() -> Base:
    """For clips of 5 frames of 16 x 24 pixels; it predicts a velocity and a flow, and runs under an empty caption."""
    model = small_flowing()
    codec = PatchCodec(latent_channels=4, width=8, depth=1, detail=2).eval().requires_grad_(False)
    codec.patches.load_state_dict(model.patches.state_dict())
    scheduler = FlowMatchEulerDiscreteScheduler(shift=1.0)
    base = _base("miramo", model, HalfCodec(1), scheduler, (16, 24), text=torch.zeros(1, 3, 12))
    return replace(
        base,
        codec=codec,
        scale=8,
        multiple=8,
        centred=True,
        predicts_flow=True,
        guided=True,
        guided_entries=guided_entries(12),
    )


def _base(
    name: str, model: nn.Module, codec: HalfCodec, scheduler: Any, size: tuple[int, int], text: Tensor | None = None
) -> Base:
    return Base(
        name=name,
        model=model,
        codec=codec,
        scheduler=scheduler,
        backbone=describe(model),
        frames=5,
        longest=16,
        scale=2,
        stride=codec.stride,
        size=size,
        multiple=4,
        fps=8,
        centred=False,
        text=text,
        text_per_frame=text is None,
        steps=2,
        noise=NoiseInit(),
        adain=False,
    )
