"""Mask sequences denoised beside a clip, at a few of its steps: what they show guides the steps after (3.4, B.1.3)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..attention.injection import Injection
from ..diffusion.loop import noise_level, predict_clean
from .readout import Readout


def mask_steps(steps: int) -> tuple[int, ...]:
    """Which of a run's steps carry masks: {0, 5, …, 35} of 50 (B.1.3), scaled to other numbers of steps."""
    return tuple(sorted({k * steps // 50 for k in range(0, 40, 5)}))


class MaskStreams:
    """The mask sequences of all masked adapters of one clip, of which there are none known at first.

    They need no scheduler: from one mask step to the next they jump in closed form, along the line from the noise to
    what the model predicts (DDIM). The prediction is made from latents that were not stepped yet, and guides the model
    from the next step on.

    Args:
        miva: the adapters at work; it is told which forward passes hold masks, and by which they are guided.
        scheduler: set to the run's steps; only its noise levels are used.
        given: masks of frame 1 by the name of their adapter, (H, W) in [0, 1].
        x1: their latents as pictures, (1, C, 1, h, w). start: start latents, (1, C, F, h, w).
        readouts: from latents to masks.
        steps: at which the masks are denoised, see `mask_steps`.
        centred: whether noise is centred on `x1`, see `sample`.
        stop_iou: end this as soon as every mask agrees so well with the one before it; None never does.
    """

    def __init__(
        self,
        miva: Injection,
        scheduler: Any,
        given: Mapping[str, Tensor],
        x1: Mapping[str, Tensor],
        start: Mapping[str, Tensor],
        readouts: Mapping[str, Readout],
        *,
        steps: Sequence[int],
        centred: bool,
        stop_iou: float | None = None,
    ) -> None:
        self._miva, self._scheduler, self._readouts, self._stop_iou = miva, scheduler, readouts, stop_iou
        miva.set_masks(None)
        self._given = {name: given[name] for name in miva.masked}
        self._x1 = torch.cat([x1[name] for name in miva.masked])
        self._centre = self._x1 if centred else torch.zeros_like(self._x1)
        self._moving = torch.cat([start[name] for name in miva.masked])[:, :, 1:]
        self._due = list(steps)
        self.masks: dict[str, Tensor] = {}
        """The masks as last predicted, (F, H, W) in [0, 1], on the grid of their read-out."""

    def latents(self, step: int) -> Tensor | None:
        """What goes behind the clip in the batch of this step, (m, C, F, h, w); None where masks are not due."""
        due = bool(self._due) and step == self._due[0]
        self._miva.set_mask_streams(due)
        return torch.cat([self._x1, self._moving + self._centre], dim=2) if due else None

    def advance(self, output: Tensor) -> None:
        """Takes the model's output for `latents`: reads off the masks, guides by them, goes to the next mask step."""
        t = self._scheduler.timesteps[self._due.pop(0)]
        clean = predict_clean(self._scheduler, output[:, :, 1:], self._moving, t)
        before, self.masks = self.masks, self._read(clean)
        self._miva.set_masks({name: self._to_latents(mask)[None] for name, mask in self.masks.items()})
        if before and self._stop_iou is not None and self._agreement(before) >= self._stop_iou:
            self._due = []
        if self._due:
            later = self._scheduler.timesteps[self._due[0]]
            (alpha, sigma), (next_alpha, next_sigma) = (noise_level(self._scheduler, step) for step in (t, later))
            self._moving = next_alpha * clean + next_sigma / sigma * (self._moving - alpha * clean)

    def _read(self, clean: Tensor) -> dict[str, Tensor]:
        latents = torch.cat([self._x1, clean + self._centre], dim=2)
        masks = {}
        for (name, given), sequence in zip(self._given.items(), latents, strict=True):
            mask = self._readouts[name](sequence[None]).to(sequence)
            first = F.interpolate(given[None, None].to(mask), mask.shape[1:], mode="area")[0]
            masks[name] = torch.cat([first, mask[1:]])
        return masks

    def _to_latents(self, mask: Tensor) -> Tensor:
        return F.interpolate(mask[None], self._x1.shape[-2:], mode="area")[0]

    def _agreement(self, before: Mapping[str, Tensor]) -> float:
        return min(iou(mask, before[name]) for name, mask in self.masks.items())


def iou(a: Tensor, b: Tensor) -> float:
    """Intersection over union of two masks in [0, 1] at the level 0.5; 1 where both are empty."""
    a, b = a > 0.5, b > 0.5
    union = (a | b).sum().item()
    return (a & b).sum().item() / union if union else 1.0
