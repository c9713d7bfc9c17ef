"""Pictures and clips of coloured shapes on a greyish ground, with exact masks: what the small test models know."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

COLOURS = {
    "red": (0.82, 0.14, 0.14),
    "green": (0.15, 0.65, 0.2),
    "blue": (0.15, 0.25, 0.85),
    "yellow": (0.9, 0.8, 0.12),
}
KINDS = ("circle", "square", "triangle")
NAMES = [f"{colour} {kind}" for colour in COLOURS for kind in KINDS]
_WIDER = {"circle": 1.0, "square": 1.15, "triangle": 1.35}
"""Radii around shapes, so that their areas are alike: the models' masks have cells of four pixels."""
_FINE = 3
"""Samples a pixel along each side, for smooth edges."""


@dataclass(frozen=True)
class Shape:
    """A coloured shape.

    Attributes:
        centre: x, y in pixels.
        velocity: x, y in pixels a frame.
        radius: of the circle around it, in pixels.
        angle: in radians; circles have none.
        tint: added to its colour, per channel.
    """

    colour: str
    kind: str
    centre: tuple[float, float]
    radius: float
    angle: float
    velocity: tuple[float, float]
    tint: tuple[float, float, float]

    @property
    def name(self) -> str:
        return f"{self.colour} {self.kind}"

    def covers(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Whether points lie inside."""
        x, y = x - self.centre[0], y - self.centre[1]
        if self.kind == "circle":
            return x * x + y * y < self.radius**2
        # A regular polygon is what lies below each of its sides.
        sides = {"square": 4, "triangle": 3}[self.kind]
        turns = self.angle + 2 * np.pi * np.arange(sides) / sides
        reach = self.radius * np.cos(np.pi / sides)
        return np.all([x * np.cos(turn) + y * np.sin(turn) < reach for turn in turns], axis=0)


@dataclass(frozen=True)
class Scene:
    """Frames (F, H, W, 3) in [0, 1], the visible masks (N, F, H, W) of its shapes, and what these are called."""

    frames: Tensor
    masks: Tensor
    names: list[str]


def draw_scene(
    rng: np.random.Generator,
    size: tuple[int, int],
    count: int,
    frames: int = 1,
    gone: int | None = None,
    names: Sequence[str] = NAMES,
) -> Scene:
    """So many different shapes that begin apart and, in a clip, drift and bounce off the border.

    Args:
        size: (height, width) in pixels, each at least 64.
        gone: the frame from which on the first shape is not there.
        names: what the shapes may be, at least `count`.
    """
    shapes = _place(rng, size, count, names)
    ground = _ground(rng, size)
    drawn = []
    for frame in range(frames):
        drawn.append(_draw(shapes, ground, rng, absent=0 if gone is not None and frame >= gone else None))
        shapes = [_moved(shape, size) for shape in shapes]
    pictures, masks = zip(*drawn, strict=True)
    return Scene(torch.stack(pictures), torch.stack(masks, dim=1), [shape.name for shape in shapes])


def boxes_of(masks: Tensor) -> Tensor:
    """Corners x0, y0, x1, y1 (N, 4) in pixels of masks (N, H, W), none of which is empty."""
    boxes = []
    for mask in masks > 0.5:
        rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
        boxes.append([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    return torch.tensor(boxes, dtype=torch.float32)


def _place(rng: np.random.Generator, size: tuple[int, int], count: int, names: Sequence[str]) -> list[Shape]:
    height, width = size
    while True:
        shapes: list[Shape] = []
        for pick in rng.permutation(len(names))[:count]:
            colour, kind = names[pick].split()
            radius = rng.uniform(0.13, 0.2) * min(size) * _WIDER[kind]
            centre = rng.uniform(radius, width - radius), rng.uniform(radius, height - radius)
            heading, speed = rng.uniform(0, 2 * np.pi), rng.uniform(1, 4)
            shapes.append(
                Shape(
                    colour,
                    kind,
                    centre=centre,
                    radius=radius,
                    angle=rng.uniform(0, 2 * np.pi),
                    velocity=(speed * np.cos(heading), speed * np.sin(heading)),
                    tint=tuple(rng.uniform(-0.08, 0.08, 3)),
                )
            )
        apart = (
            np.hypot(a.centre[0] - b.centre[0], a.centre[1] - b.centre[1]) > 1.05 * (a.radius + b.radius)
            for k, a in enumerate(shapes)
            for b in shapes[:k]
        )
        if all(apart):
            return shapes


def _moved(shape: Shape, size: tuple[int, int]) -> Shape:
    height, width = size
    position, velocity = [], []
    for where, speed, side in zip(shape.centre, shape.velocity, (width, height), strict=True):
        if not shape.radius <= where + speed <= side - shape.radius:
            speed = -speed
        position.append(where + speed)
        velocity.append(speed)
    return replace(shape, centre=tuple(position), velocity=tuple(velocity), angle=shape.angle + 0.05)


def _ground(rng: np.random.Generator, size: tuple[int, int]) -> Tensor:
    """A texture (H, W, 3) of several scales with little colour."""
    height, width = size
    ground = torch.zeros(1, 3, height, width)
    for cells, depth in ((2, 0.16), (6, 0.08), (24, 0.05)):
        grey, colour = rng.normal(size=(1, 1, cells, cells)), rng.normal(size=(1, 3, cells, cells))
        coarse = torch.from_numpy(depth * (grey + 0.25 * colour)).float()
        ground += F.interpolate(coarse, size, mode="bicubic", align_corners=True)
    ground += rng.uniform(0.3, 0.7) + 0.015 * torch.from_numpy(rng.normal(size=ground.shape)).float()
    return ground[0].permute(1, 2, 0).clamp(0.05, 0.95)


def _draw(shapes: list[Shape], ground: Tensor, rng: np.random.Generator, absent: int | None) -> tuple[Tensor, Tensor]:
    """A picture (H, W, 3), later shapes above earlier ones and one perhaps absent, and what is visible of each
    (N, H, W)."""
    height, width = ground.shape[:2]
    fine = (np.arange(max(height, width) * _FINE) + 0.5) / _FINE
    y, x = np.meshgrid(fine[: height * _FINE], fine[: width * _FINE], indexing="ij")
    picture, visible = ground.clone(), []
    for k, shape in enumerate(shapes):
        inside = torch.from_numpy(shape.covers(x, y) & (k != absent)).float()
        cover = F.avg_pool2d(inside[None], _FINE)[0]
        visible = [mask * (1 - cover) for mask in visible] + [cover]
        paint = torch.tensor(COLOURS[shape.colour]) + torch.tensor(shape.tint, dtype=torch.float32)
        grain = 0.02 * torch.from_numpy(rng.normal(size=(height, width, 1))).float()
        picture = picture + cover[..., None] * (paint + grain - picture)
    return picture.clamp(0, 1), (torch.stack(visible) > 0.5).float()
