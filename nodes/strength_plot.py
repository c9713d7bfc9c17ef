"""What Strength over Time shows: its curves as a picture."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..miva_core.attention.strength import Level, Strength, curves_of
from ..miva_core.media.line_plot import line_plot

_PARTS = 80


def plot_levels(steps: Level, frames: Sequence[Level]) -> Tensor:
    """Plot a strength over the steps, and below it over the frames, each where it changes.

    Args:
        steps: over the steps, or the noise.
        frames: the curve over the frames, or nothing.

    Returns:
        (H, 640, 3) in [0, 1].
    """
    shares = [k / _PARTS for k in range(_PARTS + 1)]
    run = [Strength.of(steps).at(share, share)[0] for share in shares]
    noise = any(curve.over == "noise" for curve in curves_of(steps))
    over_run = "the noise that is gone, from none (0) to all (1)" if noise else "the steps, from the first (0) on"
    if not frames:
        return line_plot(shares, run, f"Strength over {over_run}")
    clip = [Strength.of(frames[0]).at(0.0, 0.0, share)[0] for share in shares]
    if len(set(run)) == 1:
        clip = [run[0] * value for value in clip]
        return line_plot(shares, clip, "Strength over the clip, from its first frame (0) to its last (1)")
    over_frames = line_plot(shares, clip, "… times this over the clip, from its first frame (0) to its last (1)")
    return torch.cat([line_plot(shares, run, f"Strength over {over_run} …"), over_frames])
