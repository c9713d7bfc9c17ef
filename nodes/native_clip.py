"""Size, length and empty latent of a clip that one of ComfyUI's own models makes, and the clip that it goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..miva_core.errors import MIVAError
from ..miva_core.media.pictures import format_size
from . import comfy_bridge

if TYPE_CHECKING:
    from .comfy_bridge.native.host_protocol import Host


@dataclass(frozen=True)
class NativeClip:
    """
    Attributes:
        host: kind of the MODEL that makes it.
        size: (height, width) in pixels.
        length: frames.
    """

    host: Host
    size: tuple[int, int]
    length: int

    @classmethod
    def of(cls, host: Host, model: Any, size: tuple[int, int], length: int, before: Tensor | None) -> NativeClip:
        """Complete what an artist has set.

        Args:
            host: kind of the MODEL that makes it.
            model: the MODEL.
            size: (height, width) in pixels; 0 is that of `before`, or what the MODEL was trained on.
            length: frames; 0 is what the MODEL was trained on.
            before: (1, C, F, h, w), the clip that it goes on from, if any.

        Raises:
            MIVAError: such a clip cannot be made.
        """
        usual = host.size if before is None else (before.shape[-2] * host.scale, before.shape[-1] * host.scale)
        height, width = (asked or other for asked, other in zip(size, usual, strict=True))
        _check_size((height, width), host.multiple)
        if before is not None and (height, width) != usual:
            raise MIVAError(
                f"`previous` is a clip of {format_size(usual)}, which cannot go on as {format_size((height, width))}: "
                "set `width` and `height` to 0."
            )
        # With ComfyUI's own context windows it is made in pieces.
        longest = None if "context_handler" in model.model_options else host.longest(model)
        _check_length(length or host.frames, host.stride, longest)
        return cls(host, (height, width), length or host.frames)

    @property
    def latent_frames(self) -> int:
        """Frames of its latents."""
        return (self.length - 1) // self.host.stride + 1

    def notes(self) -> list[str]:
        """Say what is odd about its size."""
        from ..miva_core.animation.notes import size_notes

        return size_notes(self.size, self.host.size)

    def empty_latent(self) -> dict[str, Any]:
        """Make the LATENT that a sampler is to fill."""
        height, width = (side // self.host.scale for side in self.size)
        zeros = torch.zeros(1, self.host.channels, self.latent_frames, height, width)
        return {"samples": comfy_bridge.to_intermediate(self.host.to_model(zeros))}


def _check_size(size: tuple[int, int], multiple: int) -> None:
    if any(side % multiple for side in size):
        nearest = [max(1, round(side / multiple)) * multiple for side in size]
        raise MIVAError(
            f"The size {format_size(size)} cannot be used: both must be multiples of {multiple}, as in "
            f"{format_size(nearest)}."
        )


def _check_length(length: int, stride: int, longest: int | None) -> None:
    if longest is not None and length > longest:
        raise MIVAError(
            f"{length} frames are more than the {longest} that this motion module has positions for: set `length` "
            "lower, go on with a second Apply MIVA by its `previous`, or put Context Windows (Manual) before this node."
        )
    if length > stride and (length - 1) % stride == 0:
        return
    lengths = "at least 2" if stride == 1 else f"{stride} k + 1"
    nearest = max(stride + 1, round((length - 1) / stride) * stride + 1)
    raise MIVAError(f"This model makes clips of {lengths} frames: {length} cannot be made, {nearest} can.")


def previous_clip(host: Host, previous: Mapping[str, Any]) -> Tensor:
    """Take the clip out of a LATENT that another one is to go on from.

    Args:
        host: kind of the MODEL that makes the other one.
        previous: what is connected.

    Returns:
        (1, C, F, h, w) as the sampler gave it.

    Raises:
        MIVAError: it is of another kind of MODEL, or holds several clips, or nothing.
    """
    samples = previous["samples"]
    dimensions = host.to_model(torch.zeros(1, host.channels, 1, 1, 1)).ndim
    if samples.is_nested or samples.ndim != dimensions or samples.shape[1] != host.channels:
        what = "sound in it, too" if samples.is_nested else f"the shape {tuple(samples.shape)}"
        raise MIVAError(
            f"`previous` has {what}, which is no clip of this model: connect the LATENT of a sampler that has made one "
            f"with {host.name}."
        )
    clips = host.to_clips(samples, 1)
    if len(clips) > 1:
        raise MIVAError(f"`previous` is a batch of {len(clips)} clips: choose one by Get Latent From Batch.")
    if not clips.any():
        raise MIVAError("`previous` is empty: connect what the sampler gives, not what it is given.")
    return clips
