"""How strongly each motion acts at one time of a run, in every frame of the clip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ....miva_core.attention.strength import Level, Part, Strength

if TYPE_CHECKING:
    from .course import Course
    from .plan import PlannedMotion

_UNHEARD = 1e-6
"""Share of the text that is none."""


class StrengthsNow:
    """
    Args:
        motions: by name.
        frames: latent frames of the clip.

    Attributes:
        over_frames: whether strengths may differ from frame to frame.
        done: share of the run's steps.
        noise: share of the noise that is gone.
    """

    def __init__(self, motions: Mapping[str, PlannedMotion], frames: int) -> None:
        self._motions = motions
        self._strengths = {name: Strength.of(motion.strength) for name, motion in motions.items()}
        self.over_frames = any(strength.over_frames for strength in self._strengths.values())
        self._frames = frames
        self.done = self.noise = 0.0
        self._resting = frozenset(motions)
        self._values = self._by_frame()

    def move_to(self, sigma: float, course: Course) -> bool:
        """Take note of a noise level of the sampler.

        Args:
            sigma: the noise level.
            course: of the call.

        Returns:
            Whether any strength changes.
        """
        self.done, self.noise = course.at(sigma)
        self._resting = frozenset(name for name, one in self._motions.items() if not course.is_in(one.span, sigma))
        before, self._values = self._values, self._by_frame()
        return before != self._values

    def _by_frame(self) -> dict[str, list[tuple[float, ...]]]:
        """The parts of each motion in every frame, or in all frames at once where they do not differ."""
        shares = [self.share(frame) for frame in range(self._frames)] if self.over_frames else [0.0]
        now = {name: Strength.of(0.0) if name in self._resting else one for name, one in self._strengths.items()}
        return {name: [one.at(self.done, self.noise, share) for share in shares] for name, one in now.items()}

    def share(self, frame: int) -> float:
        """The share of the clip at a latent frame, counted from 0."""
        return frame / max(1, self._frames - 1)

    def levels(self) -> dict[str, Level | Strength]:
        """What an `Injection` is told, which follows curves by itself."""
        return {name: 0.0 if name in self._resting else motion.strength for name, motion in self._motions.items()}

    def acts(self, name: str) -> bool:
        """Whether a motion changes anything now."""
        return any(map(any, self._values[name]))

    def acting(self) -> frozenset[Part]:
        """The parts that change anything now."""
        parts = [values for motion in self._values.values() for values in motion]
        return frozenset(part for part in Part if any(values[part] for values in parts))

    def leaves_text(self) -> bool:
        """Whether motions leave a share to the text in some frame."""
        sums = (
            sum(values[Part.PROMPT] for values in of_frame) for of_frame in zip(*self._values.values(), strict=True)
        )
        return any(abs(1 - total) > _UNHEARD for total in sums)
