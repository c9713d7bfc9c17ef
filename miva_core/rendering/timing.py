"""When the frames of a clip at full size are: its rate and length, and how the motion runs on the way."""

from dataclasses import dataclass
from typing import Any

from ..checks import is_number
from ..clips.camera import EASINGS, Easing
from ..errors import MIVAError

FASTEST = 120.0
"""Frames a second; no screen that people have shows more."""
LONGEST = 60.0
"""Seconds."""


@dataclass(frozen=True)
class Timing:
    """When the frames of a clip at full size are.

    The speed of a motion is its own: a shorter clip shows less of it, and a longer one more.

    Attributes:
        fps: frames a second, 1 to 120; None for 24.
        duration: seconds, above 0 and up to 60; None for as long as the base's own clip lasts, twice that with `loop`.
        easing: how the speed changes on the way, see `eased`; the end is where constant speed would bring it.
        loop: whether the motion goes there and back, so that the clip can be repeated without a seam.

    Raises:
        MIVAError: one of them is out of range.
    """

    fps: float | None = None
    duration: float | None = None
    easing: Easing = "linear"
    loop: bool = False

    def __post_init__(self) -> None:
        if self.fps is not None and not _within(self.fps, 1.0, FASTEST):
            raise MIVAError(f"The frame rate is {self.fps!r}, but it must be a number from 1 to {FASTEST:g}.")
        if self.duration is not None and not (_within(self.duration, 0.0, LONGEST) and self.duration > 0):
            raise MIVAError(
                f"The duration is {self.duration!r}, but it must be a number of seconds above 0 and up to {LONGEST:g}."
            )
        if self.easing not in EASINGS:
            raise MIVAError(f"The easing is {self.easing!r}, expected {', '.join(EASINGS[:-1])} or {EASINGS[-1]}.")
        if not isinstance(self.loop, bool):
            raise MIVAError(f"Whether the clip is a loop is {self.loop!r}, expected True or False.")


def _within(value: Any, least: float, most: float) -> bool:
    return is_number(value) and least <= value <= most
