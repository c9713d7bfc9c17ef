"""Which steps a run makes, and what is odd about them for its base."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from ..bases.base import Base
from ..diffusion.noise_process import NoiseProcess, Schedule
from ..diffusion.schedulers import check_same_noise, prepare_scheduler
from ..diffusion.sigmas import SigmaSchedule
from ..diffusion.step_schedule import steps_down_to
from ..errors import MIVAError, MIVAWarning
from .options import RunOptions, renders_full

_WEAK_NOISE = 0.5
"""Of the timestep at which a base makes its last step: half of it and less spoils what is seen."""


@dataclass(frozen=True)
class Steps:
    """The steps of a run.

    Attributes:
        schedule: for one run.
        process: the noise levels that it goes along.
        ends_early: whether they are the base's own, which end where noise is still strong.
    """

    schedule: Schedule
    process: NoiseProcess
    ends_early: bool

    @property
    def count(self) -> int:
        """The number of steps."""
        return len(self.schedule.timesteps)


def choose_steps(base: Base, options: RunOptions) -> Steps:
    """Choose the steps that the options ask for, or the base's own.

    A `MIVAWarning` tells of steps that end in noise too weak for the base: made for strong noise, it takes the blur of
    its earlier steps for what is there, which also leaves less flow of some motions (zoom_out 0.4 to 0.6 of it).

    Raises:
        MIVAError: they are out of range, or for another noise than the base's.
    """
    steps = _steps(base, options)
    if base.last_timestep is not None and steps.schedule.timesteps[-1] < _WEAK_NOISE * base.last_timestep:
        harm = "weakens some motions" if renders_full(base, options) else "breaks later frames into blocks"
        warnings.warn(
            f"These steps end in weak noise, where this base {harm}: it is made for its own {base.steps} steps in "
            "strong noise. Take those, without SIGMAS or a scheduler.",
            MIVAWarning,
            stacklevel=4,
        )
    return steps


def _steps(base: Base, options: RunOptions) -> Steps:
    process, count = base.noise_process, base.steps if options.steps is None else options.steps
    if options.sigmas is not None:
        return Steps(SigmaSchedule(process, options.sigmas), process, ends_early=False)
    if base.last_timestep is not None and options.scheduler is None:
        return Steps(steps_down_to(process, count, base.last_timestep), process, ends_early=True)
    schedule = prepare_scheduler(options.scheduler or base.scheduler, count)
    check_same_noise(schedule, process)
    # Some of diffusers' schedulers round the noise levels of their config in a way of their own.
    return Steps(schedule, NoiseProcess(schedule, base.centred), ends_early=False)


def check_spans(spans: Mapping[str, tuple[float, float]], steps: int) -> None:
    """Check that every motion acts at some step.

    Args:
        spans: (start, end) by the name of the motion, shares of the run.
        steps: of the run.

    Raises:
        MIVAError: one does not.
    """
    for name, (start, end) in spans.items():
        if not any(start <= i / steps < end for i in range(steps)):
            raise MIVAError(f"The span {start:g} to {end:g} of {name} holds none of the {steps} steps: widen it.")


def warn_of_lost_motions(spans: Mapping[str, tuple[float, float]], steps: int) -> None:
    """Warn of motions that are off at the last step, in runs that end early.

    Where all steps lie in strong noise, hardly anything of one remains in what the next one answers.

    Args:
        spans: as in `check_spans`.
        steps: of the run.
    """
    for name, (start, end) in spans.items():
        if not start <= (steps - 1) / steps < end:
            text = f"{name} is off at the last step, which alone decides on the clips of this base: "
            warnings.warn(f"{text}let it act to the end.", MIVAWarning, stacklevel=5)
