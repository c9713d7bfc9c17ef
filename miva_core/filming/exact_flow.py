"""The flow of motions of layers by their formulas: where in the first frame each pixel comes from."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..clips.camera import pixel_grid
from ..motion_fields.displacements import displacement
from ..motion_fields.painters_order import at_places, shown_nearness
from ..motion_fields.region_frame import RegionFrame
from ..motion_fields.whole_frame import parallax
from .shooting import Shooting

_UNCOVERED = 0.12
"""A place that is nearer by more than what is to be seen there hides it in the first frame."""
_EDGE = 6.0
"""Field units around a region in which the renderer lets its motion fade."""
_RIM = 1.5
"""Field units beside the edge of a cut-out, which the renderer moves to that of the subject."""


def depth_flow(shooting: Shooting, nearness: Tensor, extent: tuple[float, float], centre: Tensor) -> Tensor:
    """Compute the flow of a motion of kind "depth".

    Args:
        shooting: how it is filmed.
        nearness: (h, w) in [0, 1] of the whole still.
        extent: (height, width) of the still in field units.
        centre: (2,) where the frame's centre is on it, in frame pixels off its own.

    Returns:
        (F, 3, H, W) backward flow to the first frame in pixels, and trust.
    """
    places = _places(shooting)
    times = shooting.times().to(places)[:, None, None]
    shift = centre.to(places) / shooting.unit

    def seen(near: Tensor) -> Tensor:
        return parallax(shooting.field.name, shooting.speed, places, times, near)

    shown = shown_nearness(nearness, lambda near: seen(near) + shift, extent)
    sources = seen(shown)
    hidden = at_places(nearness, sources + shift, extent) - shown > _UNCOVERED
    return _flow(shooting, sources, ~hidden)


def staying_flow(shooting: Shooting, mask: Tensor, region: RegionFrame, behind: bool, seed: int = 0) -> Tensor:
    """Compute the flow of a region that moves inside of its bounds.

    Args:
        shooting: how it is filmed.
        mask: (H, W) in [0, 1] of the first frame.
        region: what it measures.
        behind: whether what leads out of the mask comes from under what is around it, which nobody has seen.
        seed: of a shake.

    Returns:
        (F, 3, H, W), see `depth_flow`; not trusted beside the region's edge, where the motion fades.
    """
    places = _places(shooting)
    moved = _displaced(shooting, places, region, seed)
    inside = mask > 0.5
    around = _grown(inside, _EDGE * shooting.unit) & ~inside
    sources = places + inside[..., None] * moved
    known = _at(mask, sources, shooting) > 0.5 if behind else torch.ones_like(inside)
    return _flow(shooting, sources, ~around & (known | ~inside))


def carried_flow(shooting: Shooting, mask: Tensor, region: RegionFrame) -> Tensor:
    """Compute the flow of a cut-out that is carried over the picture; arguments as for `staying_flow`.

    Returns:
        (F, 3, H, W), see `depth_flow`; not trusted where the cut-out was in the first frame, nor at its rim.
    """
    places = _places(shooting)
    carried = places + _displaced(shooting, places, region)
    wide = _grown(mask > 0.1, _RIM * shooting.unit)
    core = ~_grown(mask < 0.9, _RIM * shooting.unit)
    there = _at(mask, carried, shooting) > 0.5
    surely, perhaps = (_at(plane.float(), carried, shooting) > 0.5 for plane in (core, wide))
    return _flow(shooting, torch.where(there[..., None], carried, places), surely | ~(perhaps | wide))


def _displaced(shooting: Shooting, places: Tensor, region: RegionFrame, seed: int = 0) -> Tensor:
    times = shooting.times().to(places)[:, None, None]
    return displacement(shooting.field.name, shooting.speed, places, times, region, seed)


def _places(shooting: Shooting) -> Tensor:
    """The pixels of a frame (H, W, 2) in field units."""
    return pixel_grid(*shooting.size) / shooting.unit


def _flow(shooting: Shooting, sources: Tensor, trusted: Tensor) -> Tensor:
    """Flow (F, 3, H, W) from places (…, H, W, 2) in field units of the first frame, and where to trust it."""
    flow = ((sources - _places(shooting)) * shooting.unit).expand(shooting.frames, -1, -1, -1)
    trust = trusted.expand(flow.shape[:-1])[..., None]
    return torch.cat([flow, trust], -1).movedim(-1, 1)


def _at(mask: Tensor, places: Tensor, shooting: Shooting) -> Tensor:
    return at_places(mask, places, (shooting.size[0] / shooting.unit, shooting.size[1] / shooting.unit))


def _grown(inside: Tensor, pixels: float) -> Tensor:
    """A region (H, W) bool and all that is within a square of so many pixels around it."""
    reach = max(1, round(pixels))
    return F.max_pool2d(inside[None].float(), 2 * reach + 1, 1, reach)[0] > 0
