"""Masks that are generated no longer than they change, which costs a little less and is a little worse."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

from torch import Tensor

from miva_core.animation.mask_guidance import GuidedByMasks
from miva_core.diffusion.predictor import Answer


class GuidedUntilStill(GuidedByMasks):
    """`GuidedByMasks` that ends as soon as every mask agrees so well with the one before it.

    Args:
        stop_iou: intersection over union of two predictions in a row, in [0, 1].
        args: those of `GuidedByMasks`.
        options: likewise.
    """

    def __init__(self, *args: Any, stop_iou: float, **options: Any) -> None:
        super().__init__(*args, **options)
        self._stop_iou = stop_iou

    def predict(self, clips: Tensor, t: Tensor, step: int, /) -> Answer:
        before = self.masks
        answer = super().predict(clips, t, step)
        if before and self.masks is not before and agreement(self.masks, before) >= self._stop_iou:
            self._due = []
        return answer


@contextmanager
def stopped_masks(stop_iou: float) -> Iterator[None]:
    """Have `animate` make its masks by `GuidedUntilStill` while the block runs."""
    with patch("miva_core.animation.run.GuidedByMasks", partial(GuidedUntilStill, stop_iou=stop_iou)):
        yield


def agreement(masks: Mapping[str, Tensor], before: Mapping[str, Tensor]) -> float:
    """Intersection over union of the masks that agree least."""
    return min(iou(mask, before[name]) for name, mask in masks.items())


def iou(a: Tensor, b: Tensor) -> float:
    """Intersection over union of two masks in [0, 1] at the level 0.5; 1 where both are empty."""
    a, b = a > 0.5, b > 0.5
    union = (a | b).sum().item()
    return (a & b).sum().item() / union if union else 1.0
