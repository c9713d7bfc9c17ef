"""Motions of a part of the picture: by how much each place of it is displaced."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from .motions import MOTIONS
from .region_frame import RegionFrame, relative_height
from .shake import REACH, shake_path

_TURN = 2 * math.pi
_UNIT_PATH = Callable[[Tensor, Tensor, RegionFrame, float], Tensor]
"""Displacement at speed 1, (…, 2), of places (…, 2), times that broadcast to (…), the region, and the period."""


def displacement(
    name: str, speed: Tensor | float, places: Tensor, times: Tensor | float, region: RegionFrame, seed: int = 0
) -> Tensor:
    """Compute by how much a part of the picture is displaced. It is linear in the speed.

    Args:
        name: of a motion of kind "region", "carried" or "shake".
        speed: field units a frame, where the motion is fastest; of a shake 1.5 units in the mean. Broadcast as `times`.
        places: (…, 2) in field units.
        times: in frames, broadcast against the places' leading dimensions, such as (F, 1, 1) to (F, H, W, 2).
        region: where it acts; of a batch, with fields that broadcast likewise.
        seed: of a shake's path; without meaning for the others.

    Returns:
        (…, 2): what is to be added to a place to get the one in frame 1 that it shows. 0 at time 0.
    """
    at = torch.as_tensor(times, dtype=places.dtype, device=places.device)
    if name == "shake":
        unit = REACH * shake_path(at, seed)
    else:
        unit = _UNIT_PATHS[name](places, at, region, MOTIONS[name].period or math.inf)
    speeds = torch.as_tensor(speed, dtype=places.dtype, device=places.device)[..., None]
    return (speeds * unit).expand(torch.broadcast_shapes(places.shape, unit.shape, speeds.shape))


def _going(x: float, y: float) -> _UNIT_PATH:
    """What goes that way for ever; it shows what was on the other side."""
    return lambda places, times, region, period: -times[..., None] * places.new_tensor([x, y])


def _sway(places: Tensor, times: Tensor, region: RegionFrame, period: float) -> Tensor:
    """A plant in the wind: the foot rests, the top goes most."""
    height = relative_height(places[..., 1], region.foot, region.top)
    x = -period / _TURN * torch.sin(_TURN * times / period) * height**2
    return torch.stack([x, torch.zeros_like(x)], -1)


def _flag(places: Tensor, times: Tensor, region: RegionFrame, period: float) -> Tensor:
    """Waves that go to the right, up and down."""
    y = -_wave(places[..., 0], times, period, 32.0)
    return torch.stack([torch.zeros_like(y), y], -1)


def _ripple(places: Tensor, times: Tensor, region: RegionFrame, period: float) -> Tensor:
    """Waves that come down the picture, as on water."""
    wave = -0.6 * _wave(places[..., 1], times, period, 16.0)
    return torch.stack([0.4 * wave, wave], -1)


def _wave(along: Tensor, times: Tensor, period: float, length: float) -> Tensor:
    """A wave less itself at time 0, with unit speed where it is fastest."""
    phase = _TURN / length * along
    return period / _TURN * (torch.sin(phase - _TURN * times / period) - torch.sin(phase))


def _breathe(places: Tensor, times: Tensor, region: RegionFrame, period: float) -> Tensor:
    """Larger and back; the rim goes at unit speed where it is fastest."""
    most = period / (math.pi * region.radius)
    return -(places - region.centre) * (most * (1 - torch.cos(_TURN * times / period)) / 2)[..., None]


def _jump(places: Tensor, times: Tensor, region: RegionFrame, period: float) -> Tensor:
    """Up and down as things fall, again and again."""
    phase = torch.remainder(times, period) / period
    y = 2 * period * phase * (1 - phase)
    return torch.stack([torch.zeros_like(y), y], -1)


_UNIT_PATHS: dict[str, _UNIT_PATH] = {
    "drift_left": _going(-1, 0),
    "drift_right": _going(1, 0),
    "drift_up": _going(0, -1),
    "drift_down": _going(0, 1),
    "sway": _sway,
    "flag": _flag,
    "ripple": _ripple,
    "breathe": _breathe,
    "rise": _going(0, -1),
    "slide_left": _going(-1, 0),
    "slide_right": _going(1, 0),
    "jump": _jump,
}
