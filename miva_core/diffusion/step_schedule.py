"""Sampling at steps that are chosen freely, where diffusers' DDIM spaces them evenly down to no noise."""

from types import SimpleNamespace

import torch
from torch import Tensor

from .noise_process import NoiseProcess
from .schedulers import check_steps


class StepSchedule:
    """A deterministic sampler at given steps: DDIM, in flow matching Euler, which are one formula.

    Args:
        process: the noise that the model was trained on.
        timesteps: (steps,) falling. The last one goes straight to the clean clip, wherever it is.
    """

    def __init__(self, process: NoiseProcess, timesteps: Tensor) -> None:
        self._process, self.timesteps = process, timesteps

    def step(self, output: Tensor, t: Tensor, noisy: Tensor, /) -> SimpleNamespace:
        """Go from the noise level of one step to that of the next.

        Args:
            output: (B, …) what the model returned for `noisy`.
            t: () the step.
            noisy: (B, …) latents at that step.

        Returns:
            `prev_sample` is (B, …), the latents at the next step.
        """
        clean = self._process.clean(output, noisy, t)
        following = self.timesteps[self.timesteps < t]
        return SimpleNamespace(
            prev_sample=self._process.move(clean, noisy, t, following[0]) if len(following) else clean
        )


def steps_down_to(process: NoiseProcess, steps: int, last: int) -> StepSchedule:
    """`steps` steps, spread evenly from the one with the most noise to `last`, or further where that is too near.

    Args:
        process: one with a table of noise levels; in flow matching steps are no whole numbers.
        steps: from 1 to the number T of steps that the model was trained on.
        last: timestep of the last one, in [0, T).

    Raises:
        MIVAError: the process has fewer steps.
    """
    check_steps(steps, process.length)
    first = process.length - 1
    return StepSchedule(process, torch.linspace(first, min(last, first + 1 - steps), steps).round().long())
