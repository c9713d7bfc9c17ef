"""Motion modules that normalise each frame by itself, as AnimateDiff trained them."""

import torch.nn.functional as F
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from einops import rearrange
from torch import Tensor, nn


class PerFrameGroupNorm(nn.GroupNorm):
    """Group normalisation of (B, C, F, H, W) with statistics over one frame.

    diffusers pools all frames, so a clean first frame and noisy later ones would share their statistics.
    """

    def forward(self, x: Tensor) -> Tensor:
        frames = rearrange(x, "b c f h w -> (b f) c h w")
        normed = F.group_norm(frames, self.num_groups, self.weight, self.bias, self.eps)
        return rearrange(normed, "(b f) c h w -> b c f h w", b=x.shape[0])


def use_per_frame_norm(model: nn.Module) -> None:
    """Give every motion module of `model` per-frame statistics; parameters and their names stay as they are."""
    for module in model.modules():
        if isinstance(module, AnimateDiffTransformer3D) and not isinstance(module.norm, PerFrameGroupNorm):
            pooled = module.norm
            module.norm = PerFrameGroupNorm(pooled.num_groups, pooled.num_channels, pooled.eps, device="meta")
            module.norm.weight, module.norm.bias = pooled.weight, pooled.bias
