"""Which of diffusers' schedulers can sample a clip beside a clean first frame."""

import copy
from typing import Any, Protocol, TypeVar

import torch

from ..errors import MIVAError
from .noise_process import NoiseProcess, Scheduler


class SettableScheduler(Scheduler, Protocol):
    """A scheduler of diffusers, which spaces its steps itself."""

    def set_timesteps(self, num_inference_steps: int, /) -> None:
        """Choose how many steps a run has."""


Settable = TypeVar("Settable", bound=SettableScheduler)


def prepare_scheduler(scheduler: Settable, steps: int) -> Settable:
    """A copy of a scheduler, set to a number of steps.

    Args:
        scheduler: any of diffusers'; it is left as it was.
        steps: denoising steps, from 1 to its `num_train_timesteps`.

    Returns:
        The copy, for one run.

    Raises:
        MIVAError: `steps` is out of range; the scheduler scales its input or its start noise (sigma-space schedulers
            such as EulerDiscrete would rescale the clean frame); or it clips what it predicts.
    """
    name, process = type(scheduler).__name__, NoiseProcess(scheduler)
    check_steps(steps, process.length)
    scheduler = copy.deepcopy(scheduler)
    try:
        scheduler.set_timesteps(steps)
    except ValueError as error:
        raise MIVAError(f"{name} cannot make {steps} steps: {error}.") from error
    if not process.is_flow and scheduler.timesteps.max() >= process.length:
        raise MIVAError(f"{name} cannot make {steps} steps: its first would be beyond its training; take fewer.")
    if float(getattr(scheduler, "init_noise_sigma", 1.0)) != 1.0 or _scales_input(scheduler):
        raise MIVAError(
            f"{name} rescales its input, which would alter the clean first frame; use DDIM, DPM++ or UniPC."
        )
    if scheduler.config.get("thresholding"):
        raise MIVAError(f"{name} clips by a quantile over all frames; switch its thresholding off.")
    if scheduler.config.get("clip_sample"):
        raise MIVAError(f"{name} clips latents to a range they leave; set clip_sample=False.")
    return scheduler


def check_steps(steps: int, limit: int) -> None:
    """Check how many denoising steps are asked for.

    Args:
        steps: the number asked for.
        limit: the most that are possible.

    Raises:
        MIVAError: they are out of range.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= limit:
        raise MIVAError(f"steps is {steps!r}, but it must be a whole number from 1 to {limit}.")


def check_same_noise(scheduler: Scheduler, process: NoiseProcess) -> None:
    """Check that a scheduler is set for the noise that a base was trained on.

    Args:
        scheduler: the one a user has chosen.
        process: the base's.

    Raises:
        MIVAError: it expects another prediction (noise, velocity, picture), or other noise levels.
    """
    chosen = NoiseProcess(scheduler)
    if not chosen.same_as(process):
        name = type(scheduler).__name__
        raise MIVAError(
            f"This {name} is set for a model that predicts {chosen.prediction} over its own noise levels, not for "
            f"this base; make it by {name}.from_config(base.scheduler.config)."
        )


def _scales_input(scheduler: Any) -> bool:
    if not hasattr(scheduler, "scale_model_input"):
        return False
    probe = torch.ones(1)
    # The scale is remembered by step index, so a copy is asked.
    return not torch.equal(copy.deepcopy(scheduler).scale_model_input(probe, scheduler.timesteps[0]), probe)
