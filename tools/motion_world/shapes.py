"""Outlines of what moves, as distances to their rim, so that coverage is exact wherever a layer goes."""

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from tools.procedural.sprites import ANGLES, random_outlines

Kind = Literal["blob", "tall", "above", "below"]
BANK = 512
"""Outlines that are drawn once, to choose from."""


class Shape(Protocol):
    """A region of frame 1."""

    def distance(self, places: Tensor) -> Tensor:
        """How far inside places (..., 2) are, in pixels, negative outside: (...)."""


@dataclass(frozen=True)
class Band:
    """Everything above, or below, a wavy line, as a sky or a lake.

    Attributes:
        line: its mean height y.
        waves: amplitude in pixels, radians a pixel, phase.
        sign: 1 below the line, -1 above it.
    """

    line: float
    waves: tuple[float, float, float]
    sign: float

    def distance(self, places: Tensor) -> Tensor:
        amplitude, frequency, phase = self.waves
        edge = self.line + amplitude * torch.sin(frequency * places[..., 0] + phase)
        return self.sign * (places[..., 1] - edge)


@dataclass(frozen=True)
class Blob:
    """A closed outline around a centre.

    Attributes:
        outline: (ANGLES,) radii over the polar angle, about 1.
        centre: x, y.
        radii: half its width and half its height, about, in pixels.
        tilt: in radians.
    """

    outline: Tensor
    centre: tuple[float, float]
    radii: tuple[float, float]
    tilt: float

    @property
    def foot(self) -> float:
        """The height y of its lower end, about."""
        return self.centre[1] + self.radii[1]

    def distance(self, places: Tensor) -> Tensor:
        x = (places[..., 0] - self.centre[0]) / self.radii[0]
        y = (places[..., 1] - self.centre[1]) / self.radii[1]
        turns = (torch.atan2(y, x) + self.tilt) * (ANGLES / (2 * math.pi))
        rim = self.outline[turns.round().long() % ANGLES]
        return (rim - torch.sqrt(x * x + y * y)) * min(self.radii)


def outline_bank(seed: int) -> Tensor:
    """Outlines (BANK, ANGLES) to choose from."""
    return random_outlines(BANK, torch.Generator().manual_seed(seed))


def draw_shape(kind: Kind, bank: Tensor, rng: np.random.Generator, size: tuple[int, int]) -> Shape:
    """Draw a shape of one kind for frames of this size (height, width)."""
    return draw_band(kind, rng, size) if kind in ("above", "below") else draw_blob(kind, bank, rng, size)


def draw_band(kind: Kind, rng: np.random.Generator, size: tuple[int, int]) -> Band:
    """Draw a wavy line."""
    height, width = size
    below = kind == "below"
    line = rng.uniform(-0.15, 0.3) if below else rng.uniform(-0.3, 0.15)
    waves = (rng.uniform(0, 4), rng.uniform(1, 4) * 2 * math.pi / width, rng.uniform(0, 2 * math.pi))
    return Band(line * height, waves, 1.0 if below else -1.0)


def draw_blob(
    kind: Kind,
    bank: Tensor,
    rng: np.random.Generator,
    size: tuple[int, int],
    radius: tuple[float, float] = (0.14, 0.34),
) -> Blob:
    """Draw a closed shape; a tall one stands upright, as a tree does.

    Args:
        radius: least and greatest, as shares of the short side.
    """
    height, width = size
    tall = kind == "tall"
    reach = rng.uniform(*radius) * min(size)
    stretch = (rng.uniform(0.35, 0.8), rng.uniform(1.0, 1.6)) if tall else (1.0, 1.0)
    centre = (rng.uniform(-0.35, 0.35) * width, rng.uniform(*((-0.1, 0.25) if tall else (-0.3, 0.3))) * height)
    tilt = 0.0 if tall else rng.uniform(-math.pi, math.pi)
    return Blob(bank[rng.integers(len(bank))], centre, (reach * stretch[0], reach * stretch[1]), tilt)


def coverage(distance: Tensor) -> Tensor:
    """How much of a pixel lies inside of a rim: a pixel wide."""
    return (distance + 0.5).clamp(0, 1)


def softness(distance: Tensor, width: float) -> Tensor:
    """A soft mask whose edge is about two widths wide, in pixels."""
    return torch.sigmoid(distance * (2 / width))
