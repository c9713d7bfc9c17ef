"""The random choices of one training step: which timesteps, and how the clips are noised and guided there."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..diffusion.noise_process import NoiseProcess

EARLY = 0.9
"""Above this share of the noise levels half of the clips go unguided, as all do before the first mask is known."""


class Draws(NamedTuple):
    """What was drawn for B clips.

    Attributes:
        t: (B,) steps of the noise process, at which the loss is taken.
        noisier: (B,) steps with more noise, at least t, from which the model itself brings some clips to t.
        rolled_out: (B,) bool, which clips these are, see `loss.rolled_out_losses`.
        truth: (B,) bool, which clips are guided by the true masks, not by predicted ones, see `mask_loss`.
        unguided: (2, B) bool, which clips go without guidance by masks at the steps `noisier` and at the steps t.
    """

    t: Tensor
    noisier: Tensor
    rolled_out: Tensor
    truth: Tensor
    unguided: Tensor


def draw_timesteps(
    count: int,
    process: NoiseProcess,
    generator: torch.Generator,
    *,
    power: float,
    rolled_out: float,
    truth: float,
    levels: tuple[float, float] = (0.0, 1.0),
) -> Draws:
    """Draw the timesteps of `count` clips, and how each of them is noised and guided there.

    Args:
        count: number of clips.
        process: of the base.
        generator: on the CPU.
        power: places in the noise schedule are drawn as u^power with u as the process draws it, 0 being clean;
            below 1 noisy steps are preferred.
        rolled_out: chance of each clip to be brought to its step by the model, in [0, 1].
        truth: chance of each clip to be guided by its true masks, in [0, 1].
        levels: the part of the timesteps that is drawn from, see `Base.levels`; all else is as if it were the whole.
    """
    lowest, highest = (process.share_at(level * process.length) for level in levels)
    u = process.training_shares(stratified(count, generator)) ** power
    noisier = u + (1 - u) * torch.rand(count, generator=generator)
    chances = torch.rand(4, count, generator=generator)
    return Draws(
        t=process.steps_at(lowest + (highest - lowest) * u),
        noisier=process.steps_at(lowest + (highest - lowest) * noisier),
        rolled_out=chances[0] < rolled_out,
        truth=chances[1] < truth,
        unguided=(torch.stack([noisier, u]) > EARLY) & (chances[2:] < 0.5),
    )


def stratified(count: int, generator: torch.Generator | None = None) -> Tensor:
    """Draw uniformly from [0, 1), once from each of as many equal parts, in random order.

    Args:
        count: number of draws.
        generator: on the CPU; None for PyTorch's own.

    Returns:
        (count,)
    """
    return (torch.randperm(count, generator=generator) + torch.rand(count, generator=generator)) / count
