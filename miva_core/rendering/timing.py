"""When a clip's frames are: how many, and at what time of the motion each."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from ..checks import is_number
from ..clips.camera import EASINGS, Easing, ease
from ..errors import MIVAError

FPS = 24.0
"""Frames a second of a clip, where nobody asks for others."""
_FPS_RANGE, _LONGEST = (1.0, 120.0), 60.0


@dataclass(frozen=True)
class Timing:
    """How fast a clip's frames follow each other, and how much of the motion they show.

    The motion has a speed of its own: a longer clip shows more of it, not the same in slow motion.

    Attributes:
        fps: frames a second, 1 to 120; None for 24.
        duration: seconds, above 0 to 60; None for as long as the base's own clip, twice that with `loop`.
        easing: how the speed changes on the way, see `eased`; the end is where constant speed would bring it.
        loop: whether the motion goes there and back, so that the clip can be repeated without a seam: after the last
            frame would come the first. "linear" turns at constant speed, every other easing slows down at both turns.

    Raises:
        MIVAError: one of them is out of range.
    """

    fps: float | None = None
    duration: float | None = None
    easing: Easing = "linear"
    loop: bool = False

    def __post_init__(self) -> None:
        low, high = _FPS_RANGE
        if self.fps is not None and not (is_number(self.fps) and low <= self.fps <= high):
            raise MIVAError(f"A clip of {self.fps!r} frames a second cannot be made: choose {low:g} to {high:g}.")
        if self.duration is not None and not (is_number(self.duration) and 0 < self.duration <= _LONGEST):
            raise MIVAError(
                f"A clip of {self.duration!r} seconds cannot be made: choose more than 0, and at most {_LONGEST:g}."
            )
        if self.easing not in EASINGS:
            raise MIVAError(f"The easing is {self.easing!r}, expected one of {', '.join(EASINGS)}.")
        if not isinstance(self.loop, bool):
            raise MIVAError(f"Whether the clip is a loop is {self.loop!r}, expected True or False.")


@dataclass(frozen=True, eq=False)
class ClipTimes:
    """When the frames of a clip are, for what eases and turns and for what runs evenly.

    Attributes:
        eased: (N,) in frames of the motion, see `flow_times`: for cameras, and what goes there and back.
        running: (N,) likewise, without easing, always onwards: for waves and clouds.
        loop: frames of the motion after which the clip is to begin anew; None where it is no loop.
    """

    eased: np.ndarray
    running: np.ndarray
    loop: float | None = None

    @classmethod
    def of(cls, timing: Timing, frames: int, rate: float) -> "ClipTimes":
        """The times of a clip; arguments as for `flow_times`."""
        eased = flow_times(timing, frames, rate)
        step = rate / (timing.fps or FPS)
        return cls(eased, np.arange(len(eased)) * step, len(eased) * step if timing.loop else None)

    def __len__(self) -> int:
        return len(self.eased)


def flow_times(timing: Timing, frames: int, rate: float) -> np.ndarray:
    """Compute at what time of a flow each frame of a clip is.

    Args:
        timing: that of the clip.
        frames: length F of the flow.
        rate: frames a second of the flow.

    Returns:
        (N,) float64 in frames of the flow, from 0; the clip has N = fps * duration frames, at least two. Those after
        F - 1 lie beyond the flow.
    """
    fps = timing.fps or FPS
    duration = timing.duration or frames / rate * (2 if timing.loop else 1)
    index = np.arange(max(2, round(fps * duration)))
    if not timing.loop:
        return _eased(index * rate / fps, index[-1] * rate / fps, timing.easing)
    turning: Easing = "linear" if timing.easing == "linear" else "ease-in-out"
    end = len(index) / 2 * rate / fps
    if frames - 1 < end <= frames:
        # There and back again at the base's own length turns where the flow ends, not while its last frame is seen.
        end = frames - 1.0
    return _eased(np.minimum(index, len(index) - index) / len(index) * 2 * end, end, turning)


def back_and_forth(time: float, frames: int) -> float:
    """Compute where a motion that turns at both of its ends is at a time.

    Args:
        time: in frames, from 0.
        frames: length F of the motion.

    Returns:
        The time within the motion, from 0 to F - 1.
    """
    last = frames - 1.0
    if not last:
        return 0.0
    phase = math.fmod(time, 2 * last)
    return min(phase, 2 * last - phase)


def _eased(times: np.ndarray, end: float, easing: Easing) -> np.ndarray:
    """Times of constant speed, 0 to `end`, as a changing speed has them."""
    if easing == "linear":
        return times
    return ease(torch.from_numpy(times / end), easing).numpy() * end
