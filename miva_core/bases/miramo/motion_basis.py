"""What motions of a layer are made of: a steady map, and functions of time times functions of place.

All lengths are field units off the centre of the frame, x right and y down; times are in frames, 0 is frame 1.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...motion_fields.region_frame import RegionFrame, relative_height

TIME_FUNCTIONS = 7
"""How many there are, see `time_functions`."""
FRAME_PLACES = 3
"""How many functions of place a layer of the whole frame has: 1, and x and y, half a frame being 1."""
REGION_PLACES = 5
"""How many functions of place a region has, see `region_places`."""
WAVES = 8
"""How many of a place's sines and cosines there are, see `waves`."""
HALF = 32.0
"""Field units from the centre of the frame to its edge, along the shorter side."""
_PERIODS = (16.0, 8.0)
_LENGTHS = (32.0, 16.0)
_JUMP = 8.0
_TURN = 2 * math.pi


def time_functions(times: Tensor, path: Tensor) -> Tensor:
    """Compute what motions do in time. All functions are 0 at time 0, and all but the path's close.

    Args:
        times: (T,).
        path: (B, T, 2) where a trembling hand is.

    Returns:
        (B, T, 7): sine, and one minus cosine by half, of 16 and of 8 frames; a jump of 8 frames, 1 at its highest; x
        and y of the path.
    """
    phase = torch.remainder(times, _JUMP) / _JUMP
    periodic = [value for period in _PERIODS for value in _swing(_TURN * times / period)]
    steady = torch.stack([*periodic, 4 * phase * (1 - phase)], -1).to(path)
    return torch.cat([steady.expand(len(path), -1, -1), path], -1)


def _swing(angle: Tensor) -> tuple[Tensor, Tensor]:
    return angle.sin(), (1 - angle.cos()) / 2


def region_places(places: Tensor, region: RegionFrame) -> Tensor:
    """Compute where places are in a region.

    Args:
        places: (B, …, 2).
        region: of each of the B clips.

    Returns:
        (B, …, 5): 1; x and y off the region's centre, its radius being 1; the height h above its foot, up to 1.3 times
        its own, and h^2.
    """
    foot, top, radius = (_spread(value, places[..., 0]) for value in (region.foot, region.top, region.radius))
    height = relative_height(places[..., 1], foot, top)
    offset = (places - off_centre(region, places)) / radius[..., None]
    return torch.cat([torch.ones_like(offset[..., :1]), offset, torch.stack([height, height**2], -1)], -1)


def off_centre(region: RegionFrame, places: Tensor) -> Tensor:
    """Give the centre (B, 2) of each clip's region a shape that broadcasts to places (B, …, 2)."""
    return region.centre.view(-1, *[1] * (places.ndim - 2), 2)


def waves(places: Tensor) -> Tensor:
    """Compute waves over places (…, 2), of 32 and of 16 units' length: (…, 8), sines before cosines, x before y."""
    phases = torch.cat([_TURN / length * places for length in _LENGTHS], -1)
    return torch.cat([phases.sin(), phases.cos()], -1)


@dataclass(frozen=True)
class LayerMotion:
    """How one layer moves in each of B clips, for the whole of it (K = 1) or differently at each of K times.

    Attributes:
        generators: (B, K, 2, 3) affine velocities, field units a frame: at time t a place p has come to exp(t G) p.
        amplitudes: (B, K, J, 2, S) field units: what is added for each of J functions of time and S of place.
    """

    generators: Tensor
    amplitudes: Tensor

    def at(self, known: Tensor, times: Tensor) -> "LayerMotion":
        """The motion at times (T,), when the K times that it is known at are these (K,), or K is 1."""
        return LayerMotion(interpolated(self.generators, known, times), interpolated(self.amplitudes, known, times))

    def __getitem__(self, rows: slice) -> "LayerMotion":
        """The motion of some of the clips."""
        return LayerMotion(self.generators[rows], self.amplitudes[rows])

    def cpu(self) -> "LayerMotion":
        """The same motion on the CPU."""
        return LayerMotion(self.generators.cpu(), self.amplitudes.cpu())


def interpolated(values: Tensor, known: Tensor, times: Tensor) -> Tensor:
    """Interpolate values linearly between the times that they are known at.

    Args:
        values: (B, K, …), or (B, 1, …) of what does not change.
        known: (K,) rising.
        times: (T,); before and after the known ones values stay as they are.

    Returns:
        (B, T, …)
    """
    if values.shape[1] == 1:
        return values.expand(-1, len(times), *[-1] * (values.ndim - 2))
    after = torch.searchsorted(known, times.to(known)).clamp(1, len(known) - 1)
    before = after - 1
    share = ((times - known[before]) / (known[after] - known[before])).clamp(0, 1).to(values)
    return torch.lerp(values[:, before], values[:, after], share.view(1, -1, *[1] * (values.ndim - 2)))


def exponential(generators: Tensor, times: Tensor) -> Tensor:
    """Compute the affine maps that affine velocities lead to.

    Args:
        generators: (…, 2, 3).
        times: broadcasts to the leading dimensions.

    Returns:
        (…, 2, 3): exp(t G), G being filled up by a row of zeros.
    """
    square = torch.cat([generators, torch.zeros_like(generators[..., :1, :])], -2)
    return torch.matrix_exp(times.to(square)[..., None, None] * square)[..., :2, :]


def _spread(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.ndim - 1))
