"""The flow head of the built-in MiraMo: a clip's flow as layers that are known at every time and place.

A place p of the frame at time t shows of frame 1: camera_t(p) = c, moved on by its nearness n to d = depth_t,n(c); then
d + M(d) u(d, t) + m(d + v(d, t)) v(d, t), where u displaces the inside of a region that stays where it is, its soft
mask M with it, and v carries a subject, its hard mask m with it.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...clips.camera import apply_affine, compose_affine, pixel_grid
from ...motion_fields.painters_order import SAME_SURFACE, at_places, shown_nearness
from ...motion_fields.region_frame import RegionFrame
from ...motion_fields.shake import shake_path
from ...motion_fields.whole_frame import FARTHEST_SHARE
from ..guide import KINDS
from .motion_basis import (
    HALF,
    LayerMotion,
    exponential,
    interpolated,
    off_centre,
    region_places,
    time_functions,
    waves,
)

NO_GUIDE, MASK_GUIDE, NEARNESS_GUIDE = (KINDS.index(kind) for kind in ("", "mask", "nearness"))
"""What a guide may be: nothing, a mask of what moves, or how near each place is."""
SHAKE = 0
"""Seed of the path by which a hand trembles, where none is given: that of every run."""
_CLEAR = 1e-3
"""How sure a guide is, at most: its logits are finite, and its values are had back exactly."""
_UNSEEN = -3.0
"""Logit of a mask where nothing is known."""
_HARDNESS = 4.0
"""How many times as steep the edge of a carried mask is."""
_TERMS = 10
"""Of the exponential's series."""


@dataclass(frozen=True, eq=False)
class LayeredFlow:
    """The layers of B clips.

    Attributes:
        times: (F,) of the frames that the model was given.
        path: (B, F, 2) of a trembling hand at these times, unit speed; None for the one of every run.
        camera: of the whole frame; its functions of place are 1, and x and y, half a frame being 1.
        depth: (B, K, 2, 3) affine velocities of what is of nearness 0.8, others in proportion to 0.2 + nearness.
        staying: of a region that stays where it is; its functions are `region_places`, then `waves`.
        carried: of a subject; its functions are `region_places`.
        mask_logits: (B, 4h, 4w), one for 2 x 2 units: of a mask, or what is added to those of the guide.
        nearness_logits: (B, 4h, 4w), likewise.
        residual: (B, F, 2, h, w) field units, one for 8 x 8 units: what no layer explains.
        guide: (B, H, W) in [0, 1], H = 8h and W = 8w.
        kind: (B,) `NO_GUIDE`, `MASK_GUIDE` or `NEARNESS_GUIDE`.
    """

    times: Tensor
    path: Tensor | None
    camera: LayerMotion
    depth: Tensor
    staying: LayerMotion
    carried: LayerMotion
    mask_logits: Tensor
    nearness_logits: Tensor
    residual: Tensor
    guide: Tensor
    kind: Tensor

    def __getitem__(self, rows: slice) -> "LayeredFlow":
        """The layers of some of the clips."""
        chosen = {name: part[rows] for name, part in self._parts().items() if name != "times"}
        return replace(self, **chosen)

    def cpu(self) -> "LayeredFlow":
        """The same layers on the CPU."""
        return replace(self, **{name: part.cpu() for name, part in self._parts().items()})

    def _parts(self) -> dict[str, Any]:
        """All that there is, by the name of its attribute."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: part for name, part in parts.items() if part is not None}

    @property
    def size(self) -> tuple[int, int]:
        """Height and width (H, W) of the frame in field units."""
        height, width = self.guide.shape[-2:]
        return height, width

    def mask_scores(self, guide: Tensor | None = None) -> Tensor:
        """Logits of the mask of what moves.

        Args:
            guide: (B, H', W') the guide at any size, for edges as sharp as it has them; None for the model's own.

        Returns:
            (B, H', W')
        """
        return self._scores(self.mask_logits, MASK_GUIDE, _UNSEEN, guide)

    def soft_mask(self, guide: Tensor | None = None) -> Tensor:
        """The mask of a region that stays: (B, H', W') in [0, 1], see `mask_scores`.

        It is the guide itself where that is a mask. Nothing else says where such a region ends, and a mask that may be
        changed makes up for motions that are not learnt yet: it is no longer linear in speed what comes of them.
        """
        given = self.guide if guide is None else guide
        return torch.where((self.kind == MASK_GUIDE)[:, None, None], given, _shares(self.mask_scores(guide)))

    def hard_mask(self, guide: Tensor | None = None) -> Tensor:
        """The mask of a subject that is carried: (B, H', W') in [0, 1], see `mask_scores`."""
        return _shares(_HARDNESS * self.mask_scores(guide))

    def nearness_scores(self, guide: Tensor | None = None) -> Tensor:
        """Logits of `nearness`, see `mask_scores`."""
        return self._scores(self.nearness_logits, NEARNESS_GUIDE, 0.0, guide)

    def nearness(self, guide: Tensor | None = None) -> Tensor:
        """How near each place of frame 1 is: (B, H', W') from 0, far, to 1, see `mask_scores`."""
        return _shares(self.nearness_scores(guide))

    def _scores(self, change: Tensor, kind: int, unknown: float, guide: Tensor | None) -> Tensor:
        guide = self.guide if guide is None else guide
        size = (guide.shape[-2], guide.shape[-1])
        finer = F.interpolate(change[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
        return finer + torch.where((self.kind == kind)[:, None, None], _scores_of(guide), unknown)

    @cached_property
    def region(self) -> RegionFrame:
        """Where what moves is, by its soft mask; no gradient goes there."""
        return RegionFrame.of(self.soft_mask().detach())

    def camera_maps(self, times: Tensor) -> Tensor:
        """The maps (B, T, 2, 3) of the camera from places at times (T,) to those of frame 1."""
        motion = self.camera.at(self.times, times)
        summed = torch.einsum("btj,btjcs->btcs", self._functions(times), motion.amplitudes)
        trembling = torch.cat([summed[..., 1:] / HALF, summed[..., :1]], -1)
        trembling = trembling + torch.eye(2, 3, dtype=trembling.dtype, device=trembling.device)
        return compose_affine(exponential(motion.generators, times), trembling)

    def depth_maps(self, times: Tensor, nearness: float | Tensor) -> Tensor:
        """The maps (B, T, 2, 3) that places of a nearness () take at times (T,), after the camera's."""
        return exponential(interpolated(self.depth, self.times, times), times * (FARTHEST_SHARE + nearness))

    def staying_displacement(self, places: Tensor, times: Tensor) -> Tensor:
        """The displacement of a region that stays, where its mask is 1.

        Args:
            places: (B, T, H, W, 2) or (1, 1, H, W, 2), after camera and depth.
            times: (T,).

        Returns:
            (B, T, H, W, 2): what is to be added to `places`.
        """
        return self._displacement(
            self.staying, places, times, lambda q: torch.cat([region_places(q, self.region), waves(q)], -1)
        )

    def carried_displacement(self, places: Tensor, times: Tensor) -> Tensor:
        """The displacement of a subject that is carried, see `staying_displacement`."""
        return self._displacement(self.carried, places, times, lambda q: region_places(q, self.region))

    def _displacement(
        self, layer: LayerMotion, places: Tensor, times: Tensor, functions: Callable[[Tensor], Tensor]
    ) -> Tensor:
        motion = layer.at(self.times, times)
        maps = exponential(motion.generators, times) - torch.eye(2, 3).to(places)
        steady = apply_affine(maps, places - off_centre(self.region, places))
        summed = torch.einsum("btj,btjcs->btcs", self._functions(times), motion.amplitudes)
        return steady + torch.einsum("bthws,btcs->bthwc", functions(places).expand(*steady.shape[:-1], -1), summed)

    def _functions(self, times: Tensor) -> Tensor:
        path = shake_path(times, SHAKE)[None] if self.path is None else interpolated(self.path, self.times, times)
        return time_functions(times, path.to(self.residual))

    def residual_flow(self, times: Tensor) -> Tensor:
        """What no layer explains, (B, T, 2, H, W) field units."""
        coarse = interpolated(self.residual, self.times, times)
        full = F.interpolate(coarse.flatten(0, 1), size=self.size, mode="bilinear", align_corners=False)
        return full.unflatten(0, coarse.shape[:2])

    def flow(self, times: Tensor | None = None) -> Tensor:
        """Compute the flow at the model's own size.

        Args:
            times: (T,); None for those of the frames that the model was given.

        Returns:
            (B, T, 2, H, W) field units, x first: place p shows p + flow(p) of frame 1.
        """
        times = self.times if times is None else times
        grid = pixel_grid(*self.size, device=self.guide.device).to(self.guide)
        behind = self._by_depth(apply_affine(self.camera_maps(times), grid), times)
        staying, carried = (layer(behind, times) for layer in (self.staying_displacement, self.carried_displacement))
        soft = at_places(self.soft_mask(), behind, self.size)
        hard = at_places(self.hard_mask(), (behind + carried).detach(), self.size)
        shown = behind + soft[..., None] * staying + hard[..., None] * carried
        return (shown - grid).movedim(-1, 2) + self.residual_flow(times)

    def _by_depth(self, places: Tensor, times: Tensor) -> Tensor:
        """Places (B, T, H, W, 2) moved on by the nearness of what is seen there."""
        moving = self.depth.detach().abs().amax((1, 2, 3)) > 0
        if not moving.any():
            return places
        velocities = interpolated(self.depth[moving], self.times, times)
        nearness, seen = self.nearness()[moving], _Parallax(places[moving], velocities, times)
        with torch.no_grad():
            shown = shown_nearness(nearness, seen.at, self.size)
        again = at_places(nearness, seen.at(shown).detach(), self.size)
        exact = torch.where((again - shown).abs() < SAME_SURFACE, again, shown)
        return places.index_put((moving.nonzero()[:, 0],), seen.at(exact))


@dataclass(frozen=True, eq=False)
class _Parallax:
    """Where places (B, T, H, W, 2) are when they are as near as this, by velocities (B, T, 2, 3) at times (T,)."""

    places: Tensor
    generators: Tensor
    times: Tensor

    def at(self, nearness: Tensor) -> Tensor:
        """Places (B, T, H, W, 2) for nearnesses () or (B, T, H, W)."""
        if nearness.ndim == 0:
            return apply_affine(exponential(self.generators, self.times * (FARTHEST_SHARE + nearness)), self.places)
        way = self.times.to(nearness)[:, None, None] * (FARTHEST_SHARE + nearness)
        moved = self.places
        for term in range(_TERMS, 0, -1):
            moved = self.places + (way / term)[..., None] * apply_affine(self.generators, moved)
        return moved


def _scores_of(shares: Tensor) -> Tensor:
    return torch.logit(_CLEAR + (1 - 2 * _CLEAR) * shares)


def _shares(scores: Tensor) -> Tensor:
    """The inverse of `_scores_of`."""
    return ((torch.sigmoid(scores) - _CLEAR) / (1 - 2 * _CLEAR)).clamp(0, 1)
