"""A scene of layers that move by formulas, and its frames with their exact flow.

Frame t shows at a place p what frame 1 has at q: a shake moves p first, then the camera, then parallax by how near what
is shown is; a soft region adds its motion where it is; what is cut out is laid over that, carried by its own motion.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from miva_core.clips.camera import apply_affine, pixel_grid
from miva_core.motion_fields.displacements import displacement
from miva_core.motion_fields.motions import MOTIONS
from miva_core.motion_fields.region_frame import RegionFrame
from miva_core.motion_fields.whole_frame import camera_map, parallax
from tools.motion_world.ground import Ground
from tools.motion_world.photographs import View
from tools.motion_world.shapes import Blob, Shape, coverage, softness

BESIDE = 0.8
"""Pixels around a layer in frame 1 where those behind it are not seen well enough to be trusted."""


@dataclass(frozen=True)
class Said:
    """A motion and its speed."""

    name: str
    speed: float

    @property
    def kind(self) -> str:
        """As `MotionField.kind`."""
        return MOTIONS[self.name].kind


@dataclass(frozen=True)
class Front:
    """Something flat that stands before the ground, as near everywhere."""

    shape: Blob
    view: View
    nearness: float


@dataclass(frozen=True)
class Subject:
    """What moves by itself.

    Attributes:
        said: its motion.
        shape: where it is in frame 1.
        edge: how soft its mask is, in pixels, where a part of the picture itself moves and stays where it is; None of
            what is cut out and carried.
        view: what is cut out; None where the picture itself moves.
    """

    said: Said
    shape: Shape
    edge: float | None
    view: View | None

    def mask(self, places: Tensor) -> Tensor:
        """Its mask at places (..., 2) of frame 1."""
        distance = self.shape.distance(places)
        return coverage(distance) if self.edge is None else softness(distance, self.edge)


@dataclass(frozen=True)
class Scene:
    """A clip before it is rendered.

    Attributes:
        size: (height, width) in pixels, which are field units.
        view: what the ground shows.
        whole: a camera move, or a depth move, or None.
        ground: how near the ground is, where there is a depth move.
        fronts: what stands before it, farthest first.
        subject: what moves by itself, or None.
        shake: a shake, or None.
        seed: of the shake's path.
    """

    size: tuple[int, int]
    view: View
    whole: Said | None = None
    ground: Ground | None = None
    fronts: Sequence[Front] = ()
    subject: Subject | None = None
    shake: Said | None = None
    seed: int = 0

    @property
    def said(self) -> list[Said]:
        """All motions."""
        subject = None if self.subject is None else self.subject.said
        return [said for said in (self.whole, subject, self.shake) if said is not None]

    @property
    def grid(self) -> Tensor:
        """Its places (H, W, 2)."""
        return pixel_grid(*self.size)

    def nearness(self) -> Tensor:
        """How near frame 1 is: (H, W), 0 without a ground."""
        if self.ground is None:
            return torch.zeros(self.size)
        near = self.ground.nearness(self.grid)
        for front in self.fronts:
            near = torch.where(front.shape.distance(self.grid) > 0, front.nearness, near)
        return near

    def region(self) -> Tensor:
        """The mask (H, W) of the subject in frame 1, 0 without one."""
        return torch.zeros(self.size) if self.subject is None else self.subject.mask(self.grid)


@dataclass(frozen=True)
class Rendered:
    """F frames: `frames` (F, 3, H, W) in [-1, 1], `flow` (F, 2, H, W), `trusted` and `moving` (F, H, W); see
    `WorldBatch`."""

    frames: Tensor
    flow: Tensor
    trusted: Tensor
    moving: Tensor


@dataclass(frozen=True)
class _Layer:
    """Something cut out, at some times: the places (F, H, W, 2) of frame 1 it would show, its shape and colours."""

    places: Tensor
    shape: Shape
    view: View


def render(scene: Scene, times: Tensor) -> Rendered:
    """Render a scene at times (F,), in frames."""
    moments = times[:, None, None]
    places, cut_out = _through_depth(scene, _moved_as_a_whole(scene, times), moments)
    moving = torch.zeros(1, 1, 1)
    if scene.subject is not None:
        said, view = scene.subject.said, scene.subject.view
        way = displacement(said.name, said.speed, places, moments, RegionFrame.of(scene.region()))
        if view is not None:
            cut_out.append(_Layer(places + way, scene.subject.shape, view))
        else:
            moving = scene.subject.mask(places)
            places = places + moving[..., None] * way
    full = (len(times), *scene.size)
    return _laid_over(scene.view, places.expand(*full, 2), cut_out, moving.expand(full), scene.grid)


def _moved_as_a_whole(scene: Scene, times: Tensor) -> Tensor:
    """Places (F or 1, H, W, 2) after the shake and the camera, which are the same for all layers."""
    places = scene.grid[None]
    for said in (scene.shake, scene.whole):
        if said is not None and said.kind != "depth":
            places = apply_affine(camera_map(said.name, said.speed, times, seed=scene.seed), places)
    return places


def _through_depth(scene: Scene, places: Tensor, moments: Tensor) -> tuple[Tensor, list[_Layer]]:
    """Places of the ground after a depth move, and what stands before it.

    Args:
        places: (F or 1, H, W, 2), as the camera has moved them.
        moments: (F, 1, 1), times.
    """
    if scene.ground is None or scene.whole is None:
        return places, []
    name, speed = scene.whole.name, scene.whole.speed
    fronts = [
        _Layer(parallax(name, speed, places, moments, front.nearness), front.shape, front.view)
        for front in scene.fronts
    ]
    return scene.ground.seen(name, speed, places, moments), fronts


def _laid_over(ground: View, places: Tensor, cut_out: Sequence[_Layer], moving: Tensor, grid: Tensor) -> Rendered:
    """Lay layers over the ground, farthest first.

    Args:
        ground: its colours.
        places: (F, H, W, 2), what of it is shown.
        moving: (F, H, W) of the ground.
        grid: (H, W, 2).
    """
    frames, trusted = ground.at(places), torch.ones(places.shape[:-1])
    for layer in cut_out:
        cover = coverage(layer.shape.distance(layer.places)).expand_as(moving)
        frames = torch.lerp(frames, layer.view.at(layer.places.expand_as(places)), cover[:, None])
        hidden = layer.shape.distance(places) > -BESIDE
        most = cover > 0.5
        trusted = torch.where(most, 1.0, trusted.masked_fill(hidden, 0.0))
        places = torch.where(most[..., None], layer.places, places)
        moving = torch.maximum(moving, cover)
    flow = (places - grid).permute(0, 3, 1, 2)
    return Rendered(frames, flow, trusted, moving)
