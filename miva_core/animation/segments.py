"""Clips longer than a base makes: in segments, each of which goes on from the last frame of the one before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..bases.base import Base
from ..diffusion import init_noise
from ..diffusion.loop import Sampled
from ..media.flow_warp import warp_extrapolated
from .options import RunOptions


@dataclass(frozen=True, eq=False)
class Beginning:
    """What a segment begins with.

    Attributes:
        x1: (1, C, 1, h, w) clean latent of its first frame.
        masks: (H, W) in [0, 1] of its subjects in that frame, by the name of the motion.
        seed: of all that is drawn for it.
        start: start latents in place of drawn ones, see `RunOptions`.
    """

    x1: Tensor
    masks: Mapping[str, Tensor]
    seed: int
    start: Tensor | None


@dataclass(frozen=True, eq=False)
class Chain:
    """The segments of a clip that are made so far.

    Attributes:
        base: that of the run.
        options: those of the run.
        first: what the clip begins with.
        clips: of the segments, as their runs ended.
        masks: of their subjects, (F, H, W) by name on the grid of their read-out.
    """

    base: Base
    options: RunOptions
    first: Beginning
    clips: list[Sampled] = field(default_factory=list)
    masks: list[Mapping[str, Tensor]] = field(default_factory=list)

    def add(self, clip: Sampled, masks: Mapping[str, Tensor]) -> None:
        """Append a segment."""
        self.clips.append(clip)
        self.masks.append(masks)

    def beginning(self) -> Beginning:
        """What the next segment begins with: the last frame so far, the masks there, and a seed of its own."""
        if not self.clips:
            return self.first
        latents = finished(self.base, self.options, torch.cat([clip.latents for clip in self.clips]))
        sizes = {name: mask.shape for name, mask in self.first.masks.items()}
        masks = {name: _enlarged(mask[-1], sizes[name]) for name, mask in self.masks[-1].items()}
        seed = (self.first.seed + len(self.clips)) % 2**64
        return replace(self.first, x1=_as_first(self.base, latents[-1:]), masks=masks, seed=seed, start=None)

    def joined(self) -> tuple[Sampled, dict[str, Tensor]]:
        """All of the clip: the latents of its segments (segments, C, F, h, w), and flow and masks from end to end."""
        if len(self.clips) == 1:
            return self.clips[0], dict(self.masks[0])
        flows = [clip.flow[0] for clip in self.clips if clip.flow is not None]
        latents = torch.cat([clip.latents for clip in self.clips])
        masks = {name: join([masks[name] for masks in self.masks]) for name in self.masks[0]}
        return Sampled(latents, _composed(flows)[None] if flows else None), masks


def finished(base: Base, options: RunOptions, latents: Tensor) -> Tensor:
    """Latents as they are shown: with the statistics of the picture's, where the run ends with AdaIN.

    Args:
        base: that of the run.
        options: those of the run.
        latents: (segments, C, F, h, w), the first of which begins with the picture.

    Returns:
        (segments, C, F, h, w)
    """
    adain = base.adain if options.adain is None else options.adain
    return init_noise.adain(latents, latents[:1, :, :1]) if adain else latents


def join(segments: Sequence[Tensor]) -> Tensor:
    """Put segments (F, …) one behind the other, each without the frame that the one before it has ended with."""
    return torch.cat([segments[0], *(segment[1:] for segment in segments[1:])])


def _as_first(base: Base, latents: Tensor) -> Tensor:
    """The last frame of a segment (1, C, F, h, w) as the latent (1, C, 1, h, w) that another one begins with."""
    if base.stride == 1:
        return latents[:, :, -1:]
    # A latent of several frames is none of a picture, which is what clips begin with.
    return base.encode(base.decode(latents)[-1])


def _enlarged(mask: Tensor, size: Sequence[int]) -> Tensor:
    """A mask (h, w) at the size of the clip."""
    return F.interpolate(mask[None, None], tuple(size), mode="bilinear")[0, 0].cpu().float()


def _composed(flows: Sequence[Tensor]) -> Tensor:
    """Flows (F, 2, H, W) of segments, each into its own first frame, as one into that of the clip."""
    whole = flows[0]
    for flow in flows[1:]:
        further = flow[1:]
        whole = torch.cat([whole, further + warp_extrapolated(whole[-1:].expand_as(further), further)])
    return whole
