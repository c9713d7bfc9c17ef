"""How far a flow is from the true one, where something moves and where nothing does."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tools.motion_world.batch import WorldBatch

RIGHT = 0.5**0.5
"""Least cosine of the angle to the true flow, over a clip, of what goes the right way: within 45 degrees."""
BEGUN = 0.1
"""Least speed, as a share of the true one, of what moves at all."""


@dataclass(frozen=True)
class Scores:
    """Of N clips each.

    Attributes:
        error: (N,) mean end-point error where something moves, in pixels, over all frames but the first.
        size: (N,) mean length of the true flow there.
        speed: (N,) projection of the flow on the true one, as a share of the latter.
        right: (N,) bool, whether it goes the right way.
        leak: (N,) mean end-point error where nothing moves by itself, in pixels; NaN where all does.
    """

    error: Tensor
    size: Tensor
    speed: Tensor
    right: Tensor
    leak: Tensor

    @property
    def relative(self) -> float:
        """Error as a share of the motion."""
        return float(self.error.sum() / self.size.sum())

    def __len__(self) -> int:
        return len(self.error)


def scores_of(flow: Tensor, batch: WorldBatch) -> Scores:
    """Compare the flows (B, F, 2, H, W) that a model answers to a batch with the true ones."""
    found, true = flow[:, 1:], batch.flow[:, 1:]
    inside, outside = _places(batch)
    off, length = (found - true).norm(dim=2), true.norm(dim=2)
    along = _mean((found * true).sum(2), inside)
    squared = _mean(length**2, inside)
    speed = along / squared
    cosine = along / (_mean(found.norm(dim=2) ** 2, inside) * squared).sqrt().clamp(min=1e-9)
    right = (cosine >= RIGHT) & (speed >= BEGUN)
    return Scores(_mean(off, inside), _mean(length, inside), speed, right, _mean(off, outside))


def joined(scores: list[Scores]) -> Scores:
    """Scores of several batches as those of one."""
    return Scores(
        *(torch.cat([getattr(each, name) for each in scores]) for name in ("error", "size", "speed", "right", "leak"))
    )


def _places(batch: WorldBatch) -> tuple[Tensor, Tensor]:
    """Where what the clip is about moves, and where nothing does: (B, F - 1, H, W) bool each.

    What moves as a whole moves everywhere; a region or subject where most of a pixel is of it.
    """
    trusted, moving = batch.trusted[:, 1:] > 0, batch.moving[:, 1:]
    local = (batch.words[:, 1] > 0).view(-1, 1, 1, 1)
    return trusted & (~local | (moving > 0.5)), trusted & local & (moving < 0.02)


def _mean(values: Tensor, where: Tensor) -> Tensor:
    """Mean over frames and places (B, F, H, W) of each clip: (B,), NaN where there are none."""
    return (values * where).sum((1, 2, 3)) / where.sum((1, 2, 3))
