"""ResNets that normalise all frames of a clip together, in ComfyUI's own U-Net, as AnimateDiff v1 was trained.

The same as `miva_core.bases.animatediff.pooled_norm` for diffusers' U-Net.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from comfy.ldm.modules.diffusionmodules.openaimodel import ResBlock, UNetModel
from torch import Tensor, nn

from .forwards import with_forwards


def pooled_norms(unet: UNetModel, frames: int) -> AbstractContextManager[None]:
    """Give ResNets and the last norm statistics over all frames of a clip, until the end of the with block.

    Args:
        unet: which layers of others may stand in.
        frames: of a clip.
    """
    return with_forwards((norm, _pooled(norm.forward, frames)) for norm in _norms(unet))


def _norms(unet: UNetModel) -> Iterator[nn.Module]:
    for module in unet.modules():
        if isinstance(module, ResBlock):
            yield module.in_layers[0]
            yield module.out_layers[0]
    yield unet.out[0]


def _pooled(alone: Callable[[Tensor], Tensor], frames: int) -> Callable[[Tensor], Tensor]:
    """A norm of frames (b f, c, h, w) from one that takes whatever follows its channels together."""

    def norm(x: Tensor) -> Tensor:
        clips = x.unflatten(0, (-1, frames)).transpose(1, 2)
        return alone(clips).transpose(1, 2).flatten(0, 1)

    return norm
