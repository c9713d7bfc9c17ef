"""The mask sequences of subjects on their way from noise to clean, read off as masks wherever they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from .readout import Readout


@dataclass(frozen=True)
class MaskStream:
    """The mask sequence of one masked adapter, before it is denoised.

    Attributes:
        first: (H, W) in [0, 1], the mask of frame 1.
        x1: (1, C, 1, h, w), its latent as a picture.
        start: (1, C, F, h, w), start latents.
        readout: from latents to masks.
    """

    first: Tensor
    x1: Tensor
    start: Tensor
    readout: Readout


class Noise(Protocol):
    """The noise in latents, as the network that denoises them sees it; `NoiseProcess` is one.

    Its levels t are tensors (), steps of a process or another measure of the noise.
    """

    def clean(self, output: Tensor, noisy: Tensor, t: Tensor) -> Tensor:
        """Predict clean latents from what the network returned for noisy ones at a level, all (B, …)."""
        ...

    def move(self, clean: Tensor, noisy: Tensor, t: Tensor, to: Tensor) -> Tensor:
        """Go from one level to another along the line from the noise to the clean latents, however far."""
        ...

    def centre(self, x1: Tensor) -> Tensor:
        """What to add to noisy latents for the network, from their clean first frame (B, C, 1, h, w)."""
        ...


class MaskSequences:
    """Mask sequences that are denoised beside a clip, without a scheduler: they jump from level to level.

    Args:
        streams: by the name of their adapter, in the order of their rows.
        noise: of the network that they are shown to.
    """

    def __init__(self, streams: Mapping[str, MaskStream], noise: Noise) -> None:
        self._streams, self._noise = streams, noise
        self._x1 = torch.cat([stream.x1 for stream in streams.values()])
        self._moving = torch.cat([stream.start for stream in streams.values()])[:, :, 1:]
        self._centre = noise.centre(self._x1)

    @property
    def latents(self) -> Tensor:
        """(m, C, F, h, w) as the network is to see them, frame 1 clean."""
        return torch.cat([self._x1, self._moving + self._centre], dim=2)

    def advance(self, output: Tensor, t: Tensor, to: Tensor | None) -> dict[str, Tensor]:
        """Read the masks off what the network returned, and go to another level of noise.

        Args:
            output: (m, C, F, h, w) for `latents`.
            t: () level of these.
            to: () next level; None if there is none.

        Returns:
            (F, H, W) in [0, 1] by name, on the grid of their read-out; frame 1 as it was given.
        """
        clean = self._noise.clean(output[:, :, 1:], self._moving, t)
        masks = self._read(clean)
        if to is not None:
            self._moving = self._noise.move(clean, self._moving, t, to)
        return masks

    def on_latents(self, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Masks from `advance` on the grid of the latents, (1, F, h, w), as `Injection.set_masks` takes them."""
        size = self._x1.shape[-2:]
        return {name: F.interpolate(mask[None], size, mode="area") for name, mask in masks.items()}

    def _read(self, clean: Tensor) -> dict[str, Tensor]:
        latents = torch.cat([self._x1, clean + self._centre], dim=2)
        masks = {}
        for (name, stream), sequence in zip(self._streams.items(), latents, strict=True):
            mask = stream.readout(sequence[None]).to(sequence)
            first = F.interpolate(stream.first[None, None].to(mask), mask.shape[1:], mode="area")[0]
            masks[name] = torch.cat([first, mask[1:]])
        return masks


def enlarge(mask: Tensor, first: Tensor, frames: int) -> Tensor:
    """Bring a mask sequence to the size and length of its clip, behind the given mask of the first frame.

    Args:
        mask: (F, h, w) in [0, 1], one for each latent frame.
        first: (H, W) in [0, 1], the mask of frame 1.
        frames: of the clip.

    Returns:
        (frames, H, W) float32 on the CPU.
    """
    stride = (frames - 1) // (len(mask) - 1)
    large = F.interpolate(mask[1:, None], first.shape, mode="bilinear")[:, 0].repeat_interleave(stride, dim=0)
    return torch.cat([first[None], large.cpu().float()])
