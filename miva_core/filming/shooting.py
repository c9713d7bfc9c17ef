"""How stills are filmed: the motion, its speed, and where its clips come to look."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..checks import is_number
from ..clips.camera import EASINGS, UNIT_MOVES, Easing, apply_affine, eased, move_transforms
from ..errors import MIVAError
from ..motion_fields.motions import UNITS, MotionField, motion_field
from ..motion_fields.shake import REACH
from ..motion_fields.whole_frame import camera_map, depth_map
from .filmed_motion import FASTEST

SAMPLES = 2
"""Samples along each side of a frame pixel, which is their mean: with one sample, some frames would be blurrier."""
OVERSAMPLING = 1.2
"""Picture pixels per sample."""
CLOSEST = 0.7
"""Scale of the closest crop, relative to the widest one that the move allows."""
LEAST_SCALE = 0.5
"""Picture pixels per frame pixel; below that clips would be blurry."""
FASTEST_CAMERA = 10.0
"""Speed of a camera; of all else `FASTEST`."""
PACES = (0.25, 1.25)
"""Of clips from which a degree is learnt, see `Shooting`. Speeds spread so that the usual one is well inside."""
_WIDEST_SHAKE = 3.0
"""Of its root mean square: hardly a shake goes farther."""


@dataclass(frozen=True)
class Shooting:
    """How stills are filmed.

    Args:
        motion: one of `MOTIONS`, as people write it.
        size: (height, width) of the clips in pixels.
        frames: number of frames of each clip.
        speed: above 0 and up to 10, for all but cameras up to 4. At 1 a pan covers 1/64 of the frame's width per frame,
            a zoom 2.4 % of size and a roll 1.5°; every other motion covers about 1/64 of the shorter side where it is
            fastest. Half of that is slow, twice is fast.
        easing: how the speed changes, see `camera.eased`; what runs in circles runs evenly.
        paces: the slowest and the fastest speed of a clip, relative to `speed`; those of a still are spread between
            them.

    Raises:
        MIVAError: an unknown motion or easing, or a speed out of range.
    """

    motion: str
    size: tuple[int, int]
    frames: int
    speed: float = 1.0
    easing: Easing = "linear"
    paces: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        motion_field(self.motion)
        if self.easing not in EASINGS:
            raise MIVAError(f"{self.easing!r} is no easing; known are {', '.join(EASINGS)}.")
        most = (FASTEST_CAMERA if self.field.kind == "camera" else FASTEST) / self.paces[1]
        if not (is_number(self.speed) and 0 < self.speed <= most):
            raise MIVAError(f"The speed is {self.speed!r}, expected a number above 0 and up to {most:g}.")

    @property
    def field(self) -> MotionField:
        """What is known of the motion."""
        return motion_field(self.motion)

    @property
    def unit(self) -> float:
        """Frame pixels to a field unit."""
        return min(self.size) / UNITS

    @property
    def needed_side(self) -> int:
        """Pixels along the shorter side of a still beyond which clips do not become sharper."""
        low, high = self.at(self.paces[1]).footprint()
        return round(SAMPLES * OVERSAMPLING / CLOSEST * (high - low).amax().item())

    def at(self, pace: float) -> "Shooting":
        """The same at a speed relative to its own, and at no other."""
        return replace(self, speed=self.speed * pace, paces=(1.0, 1.0))

    def times(self) -> Tensor:
        """When in the motion each frame is, (F,) float64."""
        return eased(self.frames, "linear" if self.field.period else self.easing)

    def transforms(self, seed: int = 0) -> Tensor:
        """The affine map (F, 2, 3) of each frame by a motion of kind "camera" or "shake", see `camera`.

        Args:
            seed: of a shake.
        """
        if self.field.kind == "shake":
            return self._in_pixels(camera_map("shake", self.speed, self.times(), seed)).float()
        move = UNIT_MOVES[self.field.name]
        width = self.size[1] / UNITS
        move = replace(move, pan=(move.pan[0] * width, move.pan[1] * width))
        return move_transforms(move, self.speed, self.frames, self.easing)[0]

    def footprint(self) -> tuple[Tensor, Tensor]:
        """The lowest and highest coordinates (x, y) seen, in frame pixels off the centre of the first frame."""
        half_height, half_width = (n / 2 for n in self.size)
        corners = torch.tensor([[[x, y] for x in (-half_width, half_width)] for y in (-half_height, half_height)])
        seen = apply_affine(self._extremes().double(), corners.double()).flatten(0, 2)
        margin = _WIDEST_SHAKE * REACH * self.speed * self.unit if self.field.kind == "shake" else 0.0
        return seen.amin(0) - margin, seen.amax(0) + margin

    def _extremes(self) -> Tensor:
        """Affine maps (N, 2, 3) that lead as far as the motion leads the camera."""
        if self.field.kind == "camera":
            return self.transforms()
        if self.field.kind == "depth":
            times = self.times()
            maps = [depth_map(self.field.name, self.speed, times, nearness) for nearness in (0.0, 1.0)]
            return self._in_pixels(torch.cat(maps))
        return torch.eye(2, 3)[None]

    def _in_pixels(self, transforms: Tensor) -> Tensor:
        """Affine maps of places in field units as those of places in frame pixels."""
        return torch.cat([transforms[..., :2], transforms[..., 2:] * self.unit], -1)
