"""How near the parts of a scene are, and what of its ground each place shows once the camera has gone through it."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from miva_core.motion_fields.whole_frame import parallax

ROUNDS = 8
SHARE = 0.7
"""Of each round of the fixed-point iteration; less than all of it, since towards the camera rounds overshoot."""


@dataclass(frozen=True)
class Ground:
    """A ground that comes nearer down the picture, as a meadow does, with a slope and some hills.

    Attributes:
        far: its least nearness.
        near: its greatest.
        horizon: the height y above which all is far.
        reach: how far below that it is near, in pixels.
        slope: by how much the horizon falls per pixel to the right.
        hills: nearness of their tops, radians a pixel in x and in y, phase.
    """

    far: float
    near: float
    horizon: float
    reach: float
    slope: float
    hills: tuple[float, float, float, float]

    def nearness(self, places: Tensor) -> Tensor:
        """How near places (..., 2) of frame 1 are: (...), from 0 to 1."""
        x, y = places[..., 0], places[..., 1]
        ramp = ((y - self.slope * x - self.horizon) / self.reach).clamp(0, 1)
        height, across, down, phase = self.hills
        hills = height * torch.sin(across * x + down * y + phase) if height else 0.0
        return (self.far + (self.near - self.far) * ramp * (0.7 + 0.3 * ramp) + hills).clamp(0, 1)

    def seen(self, name: str, speed: float, places: Tensor, times: Tensor) -> Tensor:
        """The places (F, H, W, 2) of frame 1 that are seen from places once the camera has moved.

        Args:
            name: of a depth move.
            speed: of it.
            places: (F or 1, H, W, 2).
            times: (F, 1, 1) in frames.
        """
        nearness = self.nearness(places)
        for _ in range(ROUNDS):
            found = self.nearness(parallax(name, speed, places, times, nearness))
            nearness = torch.lerp(nearness.expand_as(found), found, SHARE)
        return parallax(name, speed, places, times, nearness)


def draw_ground(rng: np.random.Generator, size: tuple[int, int]) -> Ground:
    """Draw a ground for frames of this size (height, width); one in seven is as near everywhere."""
    height = size[0]
    far, near = rng.uniform(0, 0.25), rng.uniform(0.6, 1.0)
    if rng.random() < 0.15:
        far = near = rng.uniform(0.1, 0.9)
    hills = (0.0, 0.0, 0.0, 0.0)
    if rng.random() < 0.4:
        waves = rng.uniform(-2, 2, 2) * 2 * np.pi / 64
        hills = (rng.uniform(0.03, 0.1), float(waves[0]), float(waves[1]), rng.uniform(0, 2 * np.pi))
    horizon, reach = rng.uniform(-0.35, 0.25) * height, rng.uniform(0.35, 0.8) * height
    return Ground(far, near, horizon, reach, rng.uniform(-0.2, 0.2), hills)
