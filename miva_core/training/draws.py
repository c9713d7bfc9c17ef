"""What chance decides in one training step: noise levels, and how each clip is met.

A share u in [0, 1) stands for a place in the noise schedule, 0 being clean.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..diffusion.noise_process import NoiseProcess

EARLY = 0.9
"""Above this share of the noise levels half of the clips go unguided, as all do before the first mask is known."""


class Draws(NamedTuple):
    """Draws for B clips.

    Attributes:
        t: (B,) steps of the noise schedule. later: (B,) noisier ones, at least t.
        own: (B,) bool, brought to t by the model itself, see `loss.rolled_out_losses`.
        truth: (B,) bool, guided by true masks, see `mask_loss`. unguided: (2, B) bool, likewise.
    """

    t: Tensor
    later: Tensor
    own: Tensor
    truth: Tensor
    unguided: Tensor


def draw(
    count: int, scheduler: Any, generator: torch.Generator, *, power: float, rolled_out: float, truth: float
) -> Draws:
    """Draws for `count` clips.

    Args:
        scheduler: of the base.
        power: of the shares u, which are drawn as uniform^power; below 1 it prefers noisy steps.
        rolled_out: chance of each clip to be brought to its step by the model. truth: of guidance by true masks.
    """
    u = stratified(count, generator) ** power
    later = u + (1 - u) * torch.rand(count, generator=generator)
    chances = torch.rand(4, count, generator=generator)
    return Draws(
        t=steps_at(u, scheduler),
        later=steps_at(later, scheduler),
        own=chances[0] < rolled_out,
        truth=chances[1] < truth,
        unguided=(torch.stack([later, u]) > EARLY) & (chances[2:] < 0.5),
    )


def stratified(count: int, generator: torch.Generator | None = None) -> Tensor:
    """Uniform draws (count,) in [0, 1), one from each of as many equal parts, in random order."""
    return (torch.randperm(count, generator=generator) + torch.rand(count, generator=generator)) / count


def steps_at(u: Tensor, scheduler: Any) -> Tensor:
    """The steps that models are told at shares u of a schedule.

    Whole numbers from 0 where there is a table of noise levels. In flow matching T sigma with sigma shifted as in the
    scheduler: sigma = s u / (1 + (s - 1) u).
    """
    count = scheduler.config.num_train_timesteps
    if NoiseProcess(scheduler).is_flow:
        shift = scheduler.config.shift
        return count * shift * u / (1 + (shift - 1) * u)
    return (count * u).long().clamp(max=count - 1)
