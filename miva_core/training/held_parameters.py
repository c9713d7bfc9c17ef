"""What of an adapter a training does not learn."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..adapters.adapter import MIVAAdapter
from ..bases.base import Base
from ..motion_fields.region_frame import RegionFrame
from .latent_clips import LatentClip

OF_DEGREES = ".degree"
"""How the names of parameters end that hear a degree."""
_CARRIED = 0.12
"""Mean shift of a mask in its own radii, from which on it is carried: a jump has 0.19, a waving flag 0.05."""


def hold_degree(learner: MIVAAdapter) -> None:
    """Leave what hears a degree as it is: clips of one degree alone would spoil it for the others."""
    for name, parameter in learner.named_parameters():
        if name.endswith(OF_DEGREES):
            parameter.requires_grad_(False)


def hold_caption(learner: MIVAAdapter, base: Base, clips: Sequence[Sequence[LatentClip]]) -> None:
    """Let a caption learn the layers alone whose places are known: a mask's or a depth map's by that guide.

    A run takes one layer of what a mask guides, see `LayeredFullSize`: were two learnt, their sum would be right, and
    what is shown would not. Without a guide what such layers took of the motion of a camera would bend the picture. So
    all else is 0, too, in what is begun with: weight decay would only draw it towards that.

    Args:
        learner: whose caption is to be learnt; it is changed.
        base: that it is learnt on.
        clips: with masks where a mask guides.
    """
    entries, config = base.guided_entries, learner.config
    if learner.caption is None or entries is None or config.mask or not clips:
        return
    if config.guide == "mask":
        learnt = entries.carried if are_carried(clips) else entries.staying
    else:
        learnt = ~(entries.staying | entries.carried)
        if config.guide != "nearness":
            learnt &= ~entries.depth
    shares = learnt.to(learner.caption)
    learner.caption.data.mul_(shares)
    learner.caption.register_hook(lambda gradient: gradient * shares)


def are_carried(clips: Sequence[Sequence[LatentClip]]) -> bool:
    """Whether what masks mark is carried off its place, rather than moving inside of a region that stays.

    Args:
        clips: each in its versions, with masks (K, N, h, w); the first mask counts.
    """
    return bool(torch.stack([_shift(versions[0].masks[0]) for versions in clips]).median() > _CARRIED)


def _shift(masks: Tensor) -> Tensor:
    """How far the centre of masks (N, h, w) is off that of the first one on the mean, its radius being 1."""
    region = RegionFrame.of(masks[masks.any(2).any(1)]) if masks.any() else RegionFrame.of(masks)
    return (region.centre - region.centre[0]).norm(dim=-1).mean() / region.radius[0]
