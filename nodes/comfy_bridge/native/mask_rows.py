"""Mask sequences that a sampler knows nothing of: when they are due beside the clip, and what they have come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ....miva_core.animation.mask_guidance import mask_steps
from ....miva_core.animation.mask_sequences import MaskSequences, MaskStream
from ....miva_core.diffusion.init_noise import NoiseInit
from .mask_record import SubjectMasks
from .network_noise import NetworkNoise
from .plan import Plan, PlannedMask

_ROUNDED = 1 + 1e-5
"""Factor by which samplers may round a noise level up."""


class MaskRows:
    """Rows behind a clip in a few of a run's forward passes, at noise levels of their own (3.4, B.1.3).

    They are due as soon as the clip has come down to their level. A cache that leaves out steps, or a sampler that goes
    between the steps, so only delays them.

    Args:
        streams: by name of their motion, in the order of rows.
        noise: of the MODEL.
        levels: sigmas, falling, from `mask_levels`.

    Attributes:
        masks: as last predicted, (F, h, w) in [0, 1] by name, on the grid of latents; none at first.
    """

    def __init__(self, streams: Mapping[str, MaskStream], noise: NetworkNoise, levels: Sequence[float]) -> None:
        self._streams, self._noise, self._levels = streams, noise, list(levels)
        self._sequences = MaskSequences(streams, noise)
        self._output: Tensor | None = None
        self.masks: dict[str, Tensor] = {}

    def __len__(self) -> int:
        return len(self._streams)

    def due(self, sigma: float) -> bool:
        """Whether the next forward pass of a clip at this noise level is to carry them."""
        return self._output is None and bool(self._levels) and sigma <= self._levels[0] * _ROUNDED

    @property
    def latents(self) -> Tensor:
        """(m, C, F, h, w), as the network is to see them, frame 1 clean."""
        return self._sequences.latents

    @property
    def timestep(self) -> Tensor:
        """(m,), what the network is to be told of their level."""
        return self._noise.timestep(self.latents.new_full((len(self),), self._levels[0]))

    def hear(self, output: Tensor) -> None:
        """Take what the network returned for them, (m, C, F, h, w) on any device, until `advance`."""
        self._output = output.to(self.latents)

    def advance(self, sigma: float) -> dict[str, Tensor] | None:
        """Read the masks off what was heard, once all forward passes of a clip's step are over.

        Args:
            sigma: noise level of the clip.

        Returns:
            New masks to guide the passes after these, as `Injection.set_masks` takes them; None if none were heard.
        """
        if self._output is None:
            return None
        level, output, self._output = self._levels[0], self._output, None
        self._levels = [one for one in self._levels if one * _ROUNDED < sigma]
        to = _level(self._levels[0]) if self._levels else None
        self.masks = self._sequences.advance(output, _level(level), to)
        return self._sequences.on_latents(self.masks)

    def subjects(self) -> list[SubjectMasks]:
        """The masks for a `MaskRecord`."""
        return [
            SubjectMasks(self._streams[name].first.cpu().float(), mask.cpu().float())
            for name, mask in self.masks.items()
        ]


def mask_rows(masks: Mapping[str, PlannedMask], plan: Plan, patcher: Any, sigmas: Tensor, seed: int) -> MaskRows:
    """Make the mask rows of a run.

    Args:
        masks: by name of their motion, in the order of rows.
        plan: of the MODEL.
        patcher: the MODEL.
        sigmas: (steps + 1,), noise levels of the run.
        seed: of the run.
    """
    noise = plan.noise or NoiseInit(shared_ratio=0, dct=False)
    streams = mask_streams(masks, patcher, plan.frames, noise, seed)
    return MaskRows(streams, NetworkNoise(patcher.get_model_object("model_sampling")), mask_levels(sigmas))


def mask_levels(sigmas: Tensor) -> list[float]:
    """Choose at which of a run's noise levels (steps + 1,) masks are due, see `mask_steps`.

    Returns:
        Falling, each once, without 0.
    """
    chosen = {float(sigmas[step]) for step in mask_steps(len(sigmas) - 1)}
    return sorted(chosen - {0.0}, reverse=True)


def mask_streams(
    masks: Mapping[str, PlannedMask], patcher: Any, frames: int, noise: NoiseInit, seed: int
) -> dict[str, MaskStream]:
    """Draw where the mask sequences of a run start.

    Args:
        masks: by name of their motion, in the order of rows.
        patcher: the MODEL.
        frames: latent frames F of the clip.
        noise: how start noise is structured.
        seed: of the run. What it gives the clip is drawn first, then the masks, as in `animate`.
    """
    scaled = patcher.get_model_object("latent_format").process_in
    generator, streams = torch.Generator().manual_seed(seed), dict[str, MaskStream]()
    for name, mask in masks.items():
        x1 = scaled(mask.x1.float())
        if not streams:
            torch.randn(x1.expand(-1, -1, frames, -1, -1).shape, generator=generator)
        start = noise.start_latents(x1, frames, generator)
        streams[name] = MaskStream(mask.first, x1.to(patcher.load_device), start.to(patcher.load_device), mask.readout)
    return streams


def _level(sigma: float) -> Tensor:
    return torch.tensor(sigma, dtype=torch.float64)
