"""Size, length and empty latent of a clip that one of ComfyUI's own models makes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..miva_core.errors import MIVAError
from ..miva_core.media.pictures import format_size
from . import comfy_bridge


@dataclass(frozen=True)
class NativeClip:
    """
    Attributes:
        size: (height, width) in pixels.
        length: frames.
        latent: (1, C, F, h, w), the shape of its latents.
    """

    size: tuple[int, int]
    length: int
    latent: tuple[int, int, int, int, int]

    @classmethod
    def of(cls, host: Any, model: Any, size: tuple[int, int], length: int) -> "NativeClip":
        """Complete what an artist has set.

        Args:
            host: of the model.
            model: the MODEL.
            size: (height, width) in pixels; 0 is what the model was trained on.
            length: frames; 0 is what the model was trained on.

        Raises:
            MIVAError: the model cannot make such a clip.
        """
        height, width = (asked or usual for asked, usual in zip(size, host.size, strict=True))
        length = length or host.frames
        _check_size((height, width), host.multiple)
        _check_length(length, host.stride, host.longest(model))
        frames = (length - 1) // host.stride + 1
        return cls((height, width), length, (1, host.channels, frames, height // host.scale, width // host.scale))

    def empty_latent(self, host: Any) -> dict[str, Any]:
        """The LATENT that a sampler is to fill, in the layout of the model."""
        return {"samples": comfy_bridge.to_intermediate(host.to_model(torch.zeros(self.latent)))}


def _check_size(size: tuple[int, int], multiple: int) -> None:
    if any(side % multiple for side in size):
        nearest = tuple(max(1, round(side / multiple)) * multiple for side in size)
        raise MIVAError(
            f"The size {format_size(size)} cannot be used: both must be multiples of {multiple}, as in "
            f"{format_size(nearest)}."
        )


def _check_length(length: int, stride: int, longest: int | None) -> None:
    least = stride + 1
    if (length - 1) % stride or length < least:
        nearest = max(least, round((length - 1) / stride) * stride + 1)
        raise MIVAError(
            f"This model makes clips of {f'{stride} k + 1' if stride > 1 else 'at least 2'} frames: {length} cannot be "
            f"made, {nearest} can."
        )
    if longest is not None and length > longest:
        raise MIVAError(
            f"The motion module makes clips of at most {longest} frames: {length} cannot be made. Set `length` lower, "
            "or go on with a second Apply MIVA by its `previous`."
        )


def previous_clip(host: Any, previous: Mapping[str, Any]) -> Tensor:
    """Take the clip out of a LATENT that another one is to go on from.

    Args:
        host: of the model that makes the other one.
        previous: what is connected.

    Returns:
        (1, C, F, h, w) as the sampler gave it.

    Raises:
        MIVAError: it is none of this model's, or several, or empty.
    """
    samples = previous["samples"]
    if samples.is_nested or samples.ndim not in (4, 5):
        raise MIVAError(
            "`previous` is no clip of this model: connect the LATENT of the sampler that made the last one."
        )
    if samples.shape[1] != host.channels:
        raise MIVAError(
            f"The latents of `previous` have {samples.shape[1]} channels, but this model's have {host.channels}: "
            "connect a clip that was made with the same kind of model."
        )
    if samples.ndim != host.to_model(samples.new_zeros(1, host.channels, 1, 1, 1)).ndim:
        raise MIVAError(
            "`previous` is no clip of this model: connect the LATENT of the sampler that made the last one."
        )
    if samples.ndim == 5 and len(samples) > 1:
        raise MIVAError(
            f"`previous` is a batch of {len(samples)} clips: connect one alone, such as Latent From Batch gives."
        )
    if not samples.any():
        raise MIVAError("`previous` is empty: connect what comes out of the sampler of the last clip.")
    return host.to_clips(samples, 1)
