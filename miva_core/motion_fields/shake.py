"""The path of a camera held in the hand."""

import torch
import torch.nn.functional as F
from torch import Tensor

REACH = 1.5
"""Field units: root mean square of a shake of speed 1."""
_FRAMES = 128
"""Draws of a path; after as many frames it comes again."""
_MEASURED = 16
"""First frames over which a path has a root mean square of 1, a clip of a base."""
_STILLEST = 0.3
"""No path is made larger by more than 1 / this."""
_KERNEL = (1 / 9, 2 / 9, 3 / 9, 2 / 9, 1 / 9)


def shake_path(times: Tensor, seed: int) -> Tensor:
    """Compute where the camera is: white noise of one draw a frame, smoothed by [1 2 3 2 1] / 9.

    Args:
        times: (…) in frames, any real numbers.
        seed: of the draws.

    Returns:
        (…, 2), x and y: 0 at time 0, with a root mean square of 1 over the first 16 frames, continuous with its
        velocity in between.
    """
    path = _drawn(seed).to(times)
    before = times.floor()
    share = (times - before)[..., None]
    p0, p1, p2, p3 = (path[(before.long() + k) % _FRAMES] for k in (-1, 0, 1, 2))
    # Catmull and Rom's cubic: through all frames, in each at half the way between its neighbours
    slope, bend, twist = (p2 - p0) / 2, p0 - 2.5 * p1 + 2 * p2 - p3 / 2, (p3 - p0) / 2 + 1.5 * (p1 - p2)
    return p1 + share * (slope + share * (bend + share * twist))


def _drawn(seed: int) -> Tensor:
    """The path at whole frames, (128, 2) float64."""
    noise = torch.randn(_FRAMES, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    kernel = noise.new_tensor(_KERNEL).expand(2, 1, -1)
    path = F.conv1d(F.pad(noise.T[None], (2, 2), mode="circular"), kernel, groups=2)[0].T
    path = path - path[:1]
    return path / path[:_MEASURED].square().mean().sqrt().clamp(min=_STILLEST)
