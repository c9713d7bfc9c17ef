"""Where a region is and how large, of its mask: what the formulas of its motions are relative to."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_SHORTEST = 1.0
"""Field units: the least radius and height, so that an empty mask gives finite motion."""
_HIGHEST = 1.3
"""Heights of a region above its foot beyond which a sway grows no more."""
_FARTHEST = 3.0
"""Standard deviations off the centre beyond which nothing counts as a foot or top: stray pixels of a drawn mask."""


@dataclass(frozen=True)
class RegionFrame:
    """Place and size of a region, in field units off the centre of the frame.

    Attributes:
        centre: (…, 2) centre of gravity, x and y.
        radius: (…) of the disc of the same area.
        foot: (…) the y of the lowest place.
        top: (…) the y of the highest place, at least one unit above `foot`.
    """

    centre: Tensor
    radius: Tensor
    foot: Tensor
    top: Tensor

    @classmethod
    def of(cls, mask: Tensor, unit: float = 1.0) -> "RegionFrame":
        """Measure a mask, hard or soft.

        Args:
            mask: (…, H, W) in [0, 1], over the whole frame.
            unit: its pixels per field unit.

        Returns:
            Differentiable in the mask. Of an empty one the centre is the frame's own.
        """
        height, width = mask.shape[-2:]
        y = (torch.arange(height, device=mask.device) - (height - 1) / 2).to(mask.dtype) / unit
        x = (torch.arange(width, device=mask.device) - (width - 1) / 2).to(mask.dtype) / unit
        area = mask.sum((-2, -1))
        share = mask / area.clamp(min=torch.finfo(mask.dtype).tiny)[..., None, None]
        rows = share.sum(-1)
        centre = torch.stack([(share.sum(-2) * x).sum(-1), (rows * y).sum(-1)], -1)
        deviation = (rows * (y - centre[..., 1:]) ** 2).sum(-1).clamp(min=_SHORTEST**2 / 12).sqrt()
        top, foot = (edge / unit for edge in _extent(mask.amax(-1)))
        reach = _FARTHEST * deviation
        foot = torch.minimum(foot, centre[..., 1] + reach)
        top = torch.maximum(top, centre[..., 1] - reach)
        return cls(
            centre,
            (area / math.pi).clamp(min=(_SHORTEST * unit) ** 2).sqrt() / unit,
            foot,
            torch.minimum(top, foot - _SHORTEST),
        )


def relative_height(y: Tensor, foot: Tensor, top: Tensor) -> Tensor:
    """Compute how high places are above a region's foot, 1 being at its top: 0 below, and at most 1.3 above.

    Args:
        y: (…) of places.
        foot: as of `RegionFrame`, broadcast against `y`.
        top: likewise.

    Returns:
        (…)
    """
    return ((foot - y) / (foot - top)).clamp(0, _HIGHEST)


def _extent(profile: Tensor) -> tuple[Tensor, Tensor]:
    """Where a profile (…, N) first and last crosses half of its peak, in pixels off its centre; 0 and 0 if empty."""
    peak = profile.amax(-1, keepdim=True)
    return -_last(profile.flip(-1), peak), _last(profile, peak)


def _last(profile: Tensor, peak: Tensor) -> Tensor:
    half = peak / 2
    length = profile.shape[-1]
    index = torch.arange(length, device=profile.device)
    last = torch.where((profile >= half) & (peak > 0), index, 0).amax(-1, keepdim=True)
    padded = F.pad(profile, (0, 1))
    inside, outside = padded.gather(-1, last), padded.gather(-1, last + 1)
    beyond = (inside - half) / (inside - outside).clamp(min=torch.finfo(profile.dtype).tiny)
    place = last - (length - 1) / 2 + beyond
    return torch.where(peak > 0, place, 0.0).squeeze(-1)
