"""How much motion is in a training window, and what degrees that makes (MiraMo, A.4)."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..adapters.degree import BUCKETS, DegreeRange, Measure
from ..clips.optical_flow import measure_flow
from ..errors import MIVAError
from ..measure.ms_ssim import ms_ssim
from .latent_clips import LatentClip, Pixels

STRIDES = (1 / 3, 1 / 2, 1, 2, 3)
"""A clip is met at its own stride, and at as many of these times that as its frames allow."""
RATE = 8.0
"""The learning rate of what hears a degree, relative to that of all else; it starts at zero and is small."""
_WINDOWS = 8
"""Windows of each version of a clip that are measured."""
_LEAST_RATIO = 1.3
"""Of the fastest to the slowest speed, below which there is nothing to choose from."""


def measured(pixels: Pixels, measure: Measure, stride: int, pace: float) -> Tensor:
    """Measure how much each frame of a clip has moved since an earlier one.

    Args:
        pixels: the clip. Its first mask limits the flow to the subject.
        measure: what is taken for the amount of motion.
        stride: how many frames earlier.
        pace: speed at this stride, relative to the usual one of the motion.

    Returns:
        (3, N): the measure, the mean length of the flow in pixels, and what that would be at the usual pace. The first
        `stride` frames have moved by 0.
    """
    flow = pixels.flow[0] if len(pixels.flow) else measure_flow(pixels.frames, stride)
    speeds = _speeds(flow.float(), pixels.masks[0] if len(pixels.masks) else None)
    amounts = speeds
    if measure == "ms-ssim":
        frames = pixels.frames.double()
        amounts = torch.zeros_like(speeds)
        amounts[stride:] = (1 - ms_ssim(frames[:-stride], frames[stride:])).to(speeds)
    return torch.stack([amounts, speeds, speeds / pace])


def _speeds(flow: Tensor, mask: Tensor | None) -> Tensor:
    """Mean length of flow (N, 3, H, W) where it is trusted, and within a mask (N, H, W), (N,)."""
    weights = flow[:, 2] if mask is None else flow[:, 2] * (mask > 0.5)
    lengths = flow[:, :2].norm(dim=1)
    return (lengths * weights).sum((1, 2)) / weights.sum((1, 2)).clamp(min=1)


def degree_range(clips: Sequence[Sequence[LatentClip]], measure: Measure, window: int) -> DegreeRange:
    """Find what degrees mean to a training set: 20 buckets, in which are equally many windows.

    Args:
        clips: see `TrainingSet.encode`, all with their motion.
        measure: by which it was measured.
        window: latent frames of a training window.

    Raises:
        MIVAError: all windows move at about one speed.
    """
    amounts, speeds, usual, shares = _windows(clips, window)
    order = np.argsort(amounts, kind="stable")
    until = np.cumsum(shares[order]) / shares.sum()
    bounds = np.arange(BUCKETS + 1) / BUCKETS
    since = np.concatenate([[0.0], until[:-1]])
    # What part of each window is in each bucket, since a few windows are to fill all of them.
    inside = (np.minimum(until, bounds[1:, None]) - np.maximum(since, bounds[:-1, None])).clip(min=0)
    means = np.sort(inside @ speeds[order] / inside.sum(1))
    if means[-1] < _LEAST_RATIO * max(means[0], 0.01):
        raise MIVAError(
            f"All clips move at about {means.mean():.2f} pixels a frame, so there is no degree to learn: add slower or "
            "faster ones (in Motion Clips: vary_speed), or clips of twice the length or frame rate, or leave --degree "
            "out (in Train MIVA: degree off)."
        )
    return DegreeRange(
        measure,
        tuple(np.interp(bounds[1:-1], until, amounts[order]).round(5).tolist()),
        tuple(means.round(5).tolist()),
        round(float(np.interp(np.median(usual), means, np.linspace(0, 1, BUCKETS))), 5),
    )


def bucket_degrees(amounts: Tensor, degrees: DegreeRange) -> Tensor:
    """The degrees u in [-1, 1] of windows, by their buckets.

    Args:
        amounts: (B,) of motion, by the measure of the degrees.
        degrees: what they mean.
    """
    buckets = torch.bucketize(amounts, torch.tensor(degrees.edges).to(amounts))
    return 2 * buckets.to(amounts) / (BUCKETS - 1) - 1


def _windows(clips: Sequence[Sequence[LatentClip]], window: int) -> np.ndarray:
    """What was measured of some windows of each version of each clip, and their share in the training, (4, W)."""
    found = []
    for versions in clips:
        for clip in versions:
            assert clip.motion is not None
            starts = np.linspace(0, len(clip) - window, _WINDOWS).round().astype(int)
            means = [clip.motion[:, start + 1 : start + window].mean(1).tolist() for start in starts.tolist()]
            found += [[*mean, 1 / len(versions)] for mean in means]
    return np.array(found).T
