"""Which steps a run makes, and what is odd about them for its base."""

import statistics
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..attention.strength import Strength
from ..bases.base import Base
from ..diffusion.noise_process import NoiseProcess, Schedule
from ..diffusion.noise_share import noise_share
from ..diffusion.schedulers import check_same_noise, prepare_scheduler
from ..diffusion.sigmas import SigmaSchedule
from ..diffusion.step_schedule import steps_down_to
from ..errors import MIVAError, MIVAWarning
from .motion import Motion
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


def check_strengths(motions: Mapping[str, Motion], steps: Steps) -> None:
    """Check that every motion that is to act does so at some step, and say which of their strengths count for nothing.

    A `MIVAWarning` tells of motions whose strength changes in runs that end early: where all steps lie in strong noise,
    hardly anything of one remains in what the next one answers.

    Args:
        motions: by name.
        steps: of the run.

    Raises:
        MIVAError: one acts at no step.
    """
    for name, motion in motions.items():
        start, end = motion.span
        within = [start <= i / steps.count < end for i in range(steps.count)]
        if not any(within):
            raise MIVAError(f"The span {start:g} to {end:g} of {name} holds none of the {steps.count} steps: widen it.")
        strengths = _over_run(Strength.of(motion.strength).over_run(), steps)
        acting = [strength for strength, counts in zip(strengths, within, strict=True) if counts]
        if motion.acts and not any(acting):
            raise MIVAError(f"The strength of {name} is 0 at all {steps.count} steps: let its curve change it earlier.")
        if motion.acts and steps.ends_early:
            last = acting[-1] if within[-1] else 0.0
            _tell_what_counts(name, acting, last, Strength.of(motion.strength).constant)


def _over_run(strength: Strength, steps: Steps) -> list[float]:
    """A strength at each step, the mean of its parts."""
    process, count = steps.process, steps.count
    gone = [noise_share(t, process.length, process.is_flow) for t in steps.schedule.timesteps.tolist()]
    return [statistics.mean(strength.at(i / count, noise)) for i, noise in enumerate(gone)]


def _tell_what_counts(name: str, acting: Sequence[float], last: float, constant: bool) -> None:
    """Warn where a motion is off at the last step of a run, or else its strengths are not all as there."""
    text = f"{name} is off at the last step, which alone decides on the clips of this base: let it act to the end."
    if last < 0 and not constant:
        text = (
            f"On this base the last step alone decides, and there the strength of {name} is {last:g}: below 0 the clip "
            "stands still or breaks into noise. Choose a curve that ends above 0."
        )
    elif last:
        text = (
            f"On this base the last step alone decides: of the strengths of {name}, {min(acting):g} to "
            f"{max(acting):g}, only the last one counts, {last:g}."
        )
    if not last or min(acting) != max(acting) or (last < 0 and not constant):
        warnings.warn(text, MIVAWarning, stacklevel=6)
