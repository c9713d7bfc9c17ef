"""Drawn subjects: star-shaped outlines with a pattern, their motions and their exact masks."""

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from miva_core.clips.camera import apply_affine, pixel_grid
from miva_core.errors import MIVAError

ANGLES = 256

SUBJECT_MOTIONS = (
    "still",
    "slide_left",
    "slide_right",
    "rise",
    "sink",
    "jump",
    "sway",
    "spin",
    "grow",
    "shrink",
)
_DIRECTIONS = {"slide_left": (-1, 0), "slide_right": (1, 0), "rise": (0, -1), "sink": (0, 1)}


@dataclass
class SpriteLook:
    """Appearance of B sprites. A point's local coordinates are in units of the sprite's size.

    Attributes:
        outline: (B, ANGLES) radius over the polar angle, about 1.
        colours: (B, 2, 3) in [0, 1], mixed by the pattern.
        pattern: (B, 4): stripe frequency, dot frequency, radial frequency, pattern contrast.
        rim: (B,) darkness of the outline stroke in [0, 1].
    """

    outline: Tensor
    colours: Tensor
    pattern: Tensor
    rim: Tensor

    def to(self, device: torch.device | str) -> "SpriteLook":
        """The same looks on `device`."""
        return SpriteLook(*(getattr(self, field.name).to(device) for field in fields(self)))


def uniform(generator: torch.Generator, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Uniform draws of this shape in [low, high)."""
    return torch.rand(*shape, generator=generator) * (high - low) + low


def random_outlines(count: int, generator: torch.Generator) -> Tensor:
    """Draw radii (count, ANGLES) over the polar angle, about 1: ellipses, polygons, stars and blobs."""
    theta = torch.arange(ANGLES) * (2 * math.pi / ANGLES)
    aspect = uniform(generator, count, 1, low=0.55, high=1.0)
    ellipse = aspect / torch.sqrt((aspect * theta.cos()) ** 2 + theta.sin() ** 2)
    sides = torch.randint(3, 7, (count, 1), generator=generator)
    sector = torch.remainder(theta, 2 * math.pi / sides) - math.pi / sides
    polygon = torch.cos(math.pi / sides) / torch.cos(sector) * 1.15
    star = 1.1 - uniform(generator, count, 1, low=0.3, high=0.6) * (sector.abs() * sides / math.pi - 1).abs()
    waves = torch.arange(2, 6)
    phase = uniform(generator, count, 4, high=2 * math.pi)
    height = uniform(generator, count, 4, high=0.25) / waves.sqrt()
    blob = 0.9 + (height[..., None] * torch.cos(waves[:, None] * theta + phase[..., None])).sum(1)
    kinds = torch.stack([ellipse, polygon, star, blob], dim=1)
    return kinds[torch.arange(count), torch.randint(0, 4, (count,), generator=generator)]


def random_looks(count: int, generator: torch.Generator) -> SpriteLook:
    """Draw the appearance of `count` sprites."""
    pattern = torch.stack(
        [
            uniform(generator, count, low=2, high=7),
            uniform(generator, count, low=3, high=7),
            uniform(generator, count, low=2, high=6),
            uniform(generator, count, high=1.0),
        ],
        dim=1,
    )
    only_one = torch.nn.functional.one_hot(torch.randint(0, 4, (count,), generator=generator), 4)[:, :3]
    pattern[:, :3] *= only_one
    return SpriteLook(
        outline=random_outlines(count, generator),
        colours=uniform(generator, count, 2, 3),
        pattern=pattern,
        rim=uniform(generator, count) * (uniform(generator, count) < 0.5),
    )


def sprite_poses(
    motions: list[str], position: Tensor, size: Tensor, angle: Tensor, speed: Tensor, frames: int
) -> Tensor:
    """Where sprites are over time.

    Args:
        motions: B names of `SUBJECT_MOTIONS`.
        position: (B, 2) of the first frame, centred frame pixels. size: (B,) pixels. angle: (B,) radians.
        speed: (B,) pixels per frame for slides; jumps, sways, spins and growth reach about that speed at the rim.

    Returns:
        (B, F, 2, 3) maps of scene points (first-frame pixels) to sprite-local coordinates.

    Raises:
        MIVAError: an unknown motion.
    """
    i = torch.arange(frames, dtype=torch.float32)
    travel = speed[:, None] * i
    offset = torch.zeros(len(motions), frames, 2)
    turn, growth = torch.zeros(len(motions), frames), torch.zeros(len(motions), frames)
    period = 8.0
    for row, motion in enumerate(motions):
        if motion in _DIRECTIONS:
            offset[row] = travel[row, :, None] * torch.tensor(_DIRECTIONS[motion], dtype=torch.float32)
        elif motion == "jump":
            # A parabola as gravity draws it: two jumps of `period` frames, leaving the ground at 2 x speed.
            phase = torch.remainder(i, period) / period
            offset[row, :, 1] = -speed[row] * period * 2 * phase * (1 - phase)
        elif motion == "sway":
            offset[row, :, 0] = speed[row] * period / math.pi * torch.sin(math.pi * i / period)
        elif motion == "spin":
            turn[row] = travel[row] / size[row]
        elif motion in ("grow", "shrink"):
            growth[row] = travel[row] / size[row] * (0.5 if motion == "grow" else -0.5)
        elif motion != "still":
            raise MIVAError(f"{motion!r} is no subject motion; known are {', '.join(SUBJECT_MOTIONS)}.")
    radius = size[:, None] * growth.exp()
    theta = angle[:, None] + turn
    cos, sin = theta.cos() / radius, theta.sin() / radius
    linear = torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], dim=-2)
    place = position[:, None] + offset
    return torch.cat([linear, -(linear @ place[..., None])], dim=-1)


def draw_sprites(look: SpriteLook, transforms: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Colours (B, F, 3, H, W) in [0, 1] and coverage (B, F, H, W) in [0, 1] of one sprite per clip.

    Args:
        transforms: (B, F, 2, 3) maps of frame pixels to sprite-local coordinates.
    """
    local = apply_affine(transforms, pixel_grid(height, width, transforms.device))
    radius = local.norm(dim=-1)
    theta = torch.atan2(local[..., 1], local[..., 0])
    index = torch.remainder(theta * (ANGLES / (2 * math.pi)), ANGLES).long().clamp_(max=ANGLES - 1)
    outline = look.outline.gather(1, index.flatten(1)).view_as(radius)
    pixels_per_unit = 1 / torch.linalg.det(transforms[..., :2]).abs().sqrt()[..., None, None]
    inside = (outline - radius) * pixels_per_unit
    coverage = (inside + 0.5).clamp(0, 1)

    stripe, dot, ring, contrast = (column[:, None, None, None] for column in look.pattern.unbind(1))
    wave = torch.cos(stripe * 3 * local[..., 0]) * torch.cos(dot * local[..., 0]) * torch.cos(dot * local[..., 1])
    wave = wave * torch.cos(ring * 3 * radius)
    mix = ((1 - wave) * 2 * contrast).clamp(0, 1)[:, :, None]
    first, second = (c[:, None, :, None, None] for c in look.colours.unbind(1))
    light = (0.9 - 0.15 * local[..., 1] / (1 + radius))[:, :, None]
    stroke = 1 - look.rim[:, None, None, None] * (1 - inside / 2.5).clamp(0, 1)
    colour = (first * (1 - mix) + second * mix) * light * stroke[:, :, None]
    return colour.clamp(0, 1), coverage
