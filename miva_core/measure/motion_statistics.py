"""How a clip moves, in four numbers by optical flow: to compare generated clips with those that were learnt from."""

from dataclasses import dataclass
from statistics import median

from torch import Tensor

from .metrics import clip_flow, expansion, median_flow


@dataclass(frozen=True)
class MotionStatistics:
    """Attributes:
    speed: mean length of the flow, pixels a frame.
    right, down: its median components, pixels a frame.
    growth: how much larger what is seen gets in a frame, 0.01 being 1 %.
    """

    speed: float
    right: float
    down: float
    growth: float


def motion_statistics(frames: Tensor, mask: Tensor | None = None) -> MotionStatistics:
    """Of a clip (F, H, W, 3) in [0, 1], or of what a mask (F, H, W) of its subject selects."""
    flow = clip_flow(frames)
    where = None if mask is None else mask[:-1]
    lengths = flow.norm(dim=-1)
    right, down = median_flow(flow, where).tolist()
    speed = lengths if where is None else lengths[where > 0.5]
    return MotionStatistics(speed.mean().item(), right, down, expansion(flow, where))


def medians(statistics: list[MotionStatistics]) -> MotionStatistics:
    """The median of each number over clips."""
    return MotionStatistics(*(median(numbers) for numbers in zip(*(vars(s).values() for s in statistics), strict=True)))
