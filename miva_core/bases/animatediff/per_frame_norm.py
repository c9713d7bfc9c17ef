"""Motion modules that normalise each frame by itself, as AnimateDiff trained them."""

import torch.nn.functional as F
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from torch import Tensor, nn


class PerFrameGroupNorm(nn.GroupNorm):
    """Group normalisation of (B, C, F, H, W) with statistics over one frame.

    diffusers pools all frames, so a clean first frame and noisy later ones would share their statistics.
    """

    def forward(self, x: Tensor) -> Tensor:
        # Plain reshapes: torch.compile takes minutes to trace einops at every motion module.
        frames = x.transpose(1, 2).flatten(0, 1)
        normed = F.group_norm(frames, self.num_groups, self.weight, self.bias, self.eps)
        return normed.unflatten(0, (x.shape[0], -1)).transpose(1, 2)


def use_per_frame_norm(model: nn.Module) -> None:
    """Give every motion module of `model` per-frame statistics; parameters and their names stay as they are."""
    for module in model.modules():
        if isinstance(module, AnimateDiffTransformer3D) and not isinstance(module.norm, PerFrameGroupNorm):
            pooled = module.norm
            module.norm = PerFrameGroupNorm(pooled.num_groups, pooled.num_channels, pooled.eps, device="meta")
            module.norm.weight, module.norm.bias = pooled.weight, pooled.bias
