"""Sampling at steps that are chosen freely, where diffusers' DDIM spaces them evenly down to no noise."""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from .loop import check_steps, noise_level, predict_clean


class StepSchedule:
    """A deterministic sampler at given steps: DDIM, in flow matching Euler, which are one formula.

    It has what `sample` and `MaskStreams` use of a diffusers scheduler.

    Args:
        scheduler: for its kind of prediction and its noise levels.
        timesteps: (steps,) falling. The last one goes straight to the clean clip, wherever it is.
    """

    def __init__(self, scheduler: Any, timesteps: Tensor) -> None:
        self.config, self.timesteps = scheduler.config, timesteps
        if hasattr(scheduler, "alphas_cumprod"):
            self.alphas_cumprod = scheduler.alphas_cumprod.cpu()

    def step(self, output: Tensor, t: Tensor, noisy: Tensor) -> SimpleNamespace:
        """From the noise level of step t to the next one; `prev_sample` is the result."""
        clean = predict_clean(self, output, noisy, t)
        later = self.timesteps[self.timesteps < t]
        if not len(later):
            return SimpleNamespace(prev_sample=clean)
        (alpha, sigma), (next_alpha, next_sigma) = (
            (level.to(noisy) for level in noise_level(self, step)) for step in (t, later[0])
        )
        return SimpleNamespace(prev_sample=next_alpha * clean + next_sigma / sigma * (noisy - alpha * clean))


def steps_down_to(scheduler: Any, steps: int, last: int) -> StepSchedule:
    """So many steps, spread evenly from the one with the most noise to `last`, or further where that is too near.

    Args:
        scheduler: one with a table of noise levels, as DDIM has; in flow matching steps are no whole numbers.
        steps: from 1 to its `num_train_timesteps` T. last: timestep of the last one, in [0, T).

    Raises:
        MIVAError: the scheduler knows fewer steps.
    """
    first = scheduler.config.num_train_timesteps - 1
    check_steps(steps, first + 1)
    return StepSchedule(scheduler, torch.linspace(first, min(last, first + 1 - steps), steps).round().long())
