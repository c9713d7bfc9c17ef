"""Summarise the motion of a clip in four numbers, to compare generated clips with training clips."""

from dataclasses import dataclass
from statistics import median

from torch import Tensor

from .metrics import clip_flow, expansion, median_flow


@dataclass(frozen=True)
class MotionStatistics:
    """The motion of a clip in numbers, by its optical flow.

    Attributes:
        speed: mean length of the flow in pixels per frame.
        right: median component to the right in pixels per frame.
        down: median component downwards in pixels per frame.
        growth: relative growth of what is seen per frame; 0.01 is 1 %.
    """

    speed: float
    right: float
    down: float
    growth: float


def motion_statistics(frames: Tensor, mask: Tensor | None = None) -> MotionStatistics:
    """Summarise the motion of a clip.

    Args:
        frames: (F, H, W, 3) in [0, 1].
        mask: (F, H, W) in [0, 1] of its subject, to which the flow is then limited.

    Raises:
        MIVAError: fewer than two frames, or the mask selects too little.
    """
    flow = clip_flow(frames)
    where = None if mask is None else mask[:-1]
    lengths = flow.norm(dim=-1)
    right, down = median_flow(flow, where).tolist()
    speed = lengths if where is None else lengths[where > 0.5]
    return MotionStatistics(speed.mean().item(), right, down, expansion(flow, where))


def medians(statistics: list[MotionStatistics]) -> MotionStatistics:
    """Compute the median of each number over clips."""
    return MotionStatistics(*(median(numbers) for numbers in zip(*(vars(s).values() for s in statistics), strict=True)))
