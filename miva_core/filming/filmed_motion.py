"""What moves in a film, and how fast."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ..checks import is_number, shown
from ..errors import MIVAError
from ..motion_fields.motions import MotionField, motion_field, spoken

FASTEST = 4.0
"""Times its unit speed that a motion may have: whole pictures pass in a clip then."""


@dataclass(frozen=True, eq=False)
class FilmedMotion:
    """A motion that a picture is filmed with.

    Attributes:
        name: one of `MOTIONS`, with hyphens, underscores or spaces.
        speed: 1 is a field unit a frame, 1/64 of the picture's shorter side in 1/8 s, where the motion is fastest;
            -4 to 4, below 0 it goes the other way round.
        mask: (H, W) in [0, 1] of the picture: where a region moves, or the subject that is carried. None for motions of
            the whole frame.

    Raises:
        MIVAError: there is no such motion, or its speed is out of range.
    """

    name: str
    speed: float = 0.5
    mask: Tensor | None = None

    def __post_init__(self) -> None:
        field = motion_field(self.name)
        if not (is_number(self.speed) and -FASTEST <= self.speed <= FASTEST):
            raise MIVAError(
                f"The speed of {spoken(field.name)} is {shown(self.speed)}: choose a number from {-FASTEST:g} to "
                f"{FASTEST:g}."
            )
        if field.needs == "mask" and self.mask is None:
            raise MIVAError(
                f"{spoken(field.name)} moves a part of the picture and needs a mask of it, white on black: draw one, "
                "or find the part by words with Subject Mask or the command mask."
            )
        if self.mask is not None and field.kind in ("camera", "depth"):
            raise MIVAError(
                f"{spoken(field.name)} moves the whole picture: leave its mask out, or choose a motion of a part, such "
                "as drift-left, sway or rise."
            )

    @property
    def field(self) -> MotionField:
        """What is known of the motion."""
        return motion_field(self.name)


def named(motions: Sequence[FilmedMotion]) -> dict[str, FilmedMotion]:
    """Name motions by what they are, with a number where that repeats."""
    names: dict[str, FilmedMotion] = {}
    for motion in motions:
        name, count = spoken(motion.field.name), 1
        while (numbered := name if count == 1 else f"{name}-{count}") in names:
            count += 1
        names[numbered] = motion
    return names
