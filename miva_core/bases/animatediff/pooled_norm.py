"""ResNets that normalise all frames of a clip together, as the first AnimateDiff motion modules (v1) were trained."""

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn


@dataclass(eq=False)
class FrameCount:
    """How many frames the clips of the running forward pass have."""

    frames: int = 1

    def read(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Read it off clips (B, C, F, h, w); a forward pre-hook of the model."""
        self.frames = (args[0] if args else kwargs["sample"]).shape[2]


class PooledGroupNorm(nn.GroupNorm):
    """Group normalisation of frames (B F, C, h, w) with statistics over all frames of their clip."""

    def __init__(self, alone: nn.GroupNorm, count: FrameCount) -> None:
        super().__init__(alone.num_groups, alone.num_channels, alone.eps, device="meta")
        self.weight, self.bias, self._count = alone.weight, alone.bias, count

    def forward(self, x: Tensor) -> Tensor:
        clips = x.unflatten(0, (-1, self._count.frames)).transpose(1, 2)
        normed = F.group_norm(clips, self.num_groups, self.weight, self.bias, self.eps)
        return normed.transpose(1, 2).flatten(0, 1)


def use_pooled_norm(model: nn.Module) -> None:
    """Give the ResNets and the last norm of a `UNetMotionModel` statistics over all frames of a clip.

    Attention and motion modules keep theirs; parameters and their names stay as they are.
    """
    count = FrameCount()
    for module in model.modules():
        if isinstance(module, ResnetBlock2D):
            module.norm1, module.norm2 = PooledGroupNorm(module.norm1, count), PooledGroupNorm(module.norm2, count)
    last: Any = model.conv_norm_out
    model.conv_norm_out = PooledGroupNorm(last, count)
    model.register_forward_pre_hook(count.read, with_kwargs=True)
