"""The motions that have a formula, by name.

All of them are *backward*: at time t a place shows what frame 1 has somewhere else, and the formula tells where.
Lengths are in *field units*, off the centre of the frame, x to the right and y down; a frame's shorter side is 64 of
them. Times are frames of 1/8 s, any real number from 0 on; time 0 is frame 1, where nothing has moved.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from ..checks import shown
from ..clips.camera import CAMERA_MOTIONS
from ..errors import MIVAError
from .whole_frame import DEPTH_MOVES

Kind = Literal["camera", "depth", "region", "carried", "shake"]
UNITS = 64
"""Field units along the shorter side of a frame."""


@dataclass(frozen=True)
class MotionField:
    """What is known of a motion without its formula.

    Attributes:
        name: as a key of `MOTIONS`.
        kind: "camera" moves the whole frame by an affine map, "depth" each place by one for its nearness; "region"
            moves the inside of a region, which stays where it is; "carried" moves a subject, outline and all; "shake"
            trembles, the whole frame or a region.
        period: frames after which the motion is back at frame 1, or None if it goes on and on.
    """

    name: str
    kind: Kind
    period: float | None = None

    @property
    def goes_under(self) -> bool:
        """Whether it goes on under all that hides it, as clouds and water do.

        Plants, cloth and what breathes draw along what is around them.
        """
        return self.name.startswith(("drift_", "ripple"))

    @property
    def needs(self) -> Literal["", "mask", "nearness"]:
        """The map of the picture without which the motion means nothing."""
        if self.kind in ("region", "carried"):
            return "mask"
        return "nearness" if self.kind == "depth" else ""


_REGION = {
    "drift_left": None,
    "drift_right": None,
    "drift_up": None,
    "drift_down": None,
    "sway": 16.0,
    "flag": 16.0,
    "ripple": 8.0,
    "breathe": 16.0,
}
_CARRIED = {"rise": None, "slide_left": None, "slide_right": None, "jump": 8.0}


def _by_name(fields: Iterable[MotionField]) -> dict[str, MotionField]:
    return {field.name: field for field in fields}


MOTIONS: Mapping[str, MotionField] = _by_name(
    [
        *(MotionField(name.replace("-", "_"), "camera") for name in CAMERA_MOTIONS),
        *(MotionField(name, "depth") for name in DEPTH_MOVES),
        *(MotionField(name, "region", period) for name, period in _REGION.items()),
        *(MotionField(name, "carried", period) for name, period in _CARRIED.items()),
        MotionField("shake", "shake"),
    ]
)
"""Every motion that has a formula."""


def spoken(name: str) -> str:
    """Write the name of a motion as people do, with hyphens."""
    return name.replace("_", "-")


def motion_field(name: str) -> MotionField:
    """Look up a motion.

    Args:
        name: with hyphens, underscores or spaces.

    Raises:
        MIVAError: there is none of that name.
    """
    key = "_".join(name.strip().lower().replace("-", " ").replace("_", " ").split())
    if key not in MOTIONS:
        near = get_close_matches(key, MOTIONS, 3, cutoff=0.0)
        raise MIVAError(
            f"{shown(name)} is no motion; nearest are {', '.join(map(spoken, near))}, and known are "
            f"{', '.join(map(spoken, MOTIONS))}."
        )
    return MOTIONS[key]
