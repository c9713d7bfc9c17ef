"""The masks that a sampler makes beside a clip, kept for a node that reads them off the sampler's LATENT."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ....miva_core.animation.mask_sequences import enlarge
from ....miva_core.errors import MIVAError

MASKS = "miva_masks"
"""Key of the record in a LATENT; samplers hand on what they do not know."""

_KEPT = 16
"""Runs whose masks are kept, as of one Apply MIVA that feeds several samplers."""


@dataclass(frozen=True, eq=False)
class SubjectMasks:
    """Where one subject is in a clip.

    Attributes:
        first: (H, W) in [0, 1] at the size of the clip, on the CPU: in frame 1, as it was given.
        masks: (F, h, w) in [0, 1], on the CPU: in every latent frame.
    """

    first: Tensor
    masks: Tensor


class MaskRecord:
    """The masks of the last runs, each known by the latents that the run has ended with.

    A sampler does not say which of its runs a LATENT comes from. So the record is filled with masks and latents alike,
    and gives masks for the very same latents alone. Of these it keeps a digest, and masks are small.

    Args:
        others: records to fill as well, of several Apply MIVA whose motions act in one run.
    """

    def __init__(self, others: Iterable[MaskRecord] = ()) -> None:
        self._others = tuple(others)
        self._runs: dict[str, tuple[list[SubjectMasks], int]] = {}

    def fill(self, samples: Tensor, subjects: Sequence[SubjectMasks], frames: int) -> None:
        """Keep the masks of a run.

        Args:
            samples: the latents that the run has ended with, as its sampler returns them.
            subjects: one for each masked motion, at least one.
            frames: of the clip.
        """
        for record in self._others:
            record.fill(samples, subjects, frames)
        self._runs[_digest(samples)] = list(subjects), frames
        for oldest in list(self._runs)[:-_KEPT]:
            del self._runs[oldest]

    def masks(self, samples: Tensor) -> Tensor:
        """Where the subjects of a run are.

        Args:
            samples: the latents that it has ended with.

        Returns:
            (frames, H, W) in [0, 1], float32 on the CPU; all subjects in one.

        Raises:
            MIVAError: no run has ended with these latents.
        """
        # The empty latent of Apply MIVA holds the same record as what a sampler has made of it.
        if not self._runs or not samples.any():
            raise MIVAError(
                "This latent was not sampled yet, so it has no masks: connect the `LATENT` of the sampler that the "
                "`model` and the `latent` of Apply MIVA go to."
            )
        run = self._runs.get(_digest(samples))
        if run is None:
            raise MIVAError(
                "These latents are not those that a sampler has made masks for, since they were changed behind it: "
                "connect the sampler's own `LATENT`, that is `output` of SamplerCustomAdvanced."
            )
        subjects, frames = run
        return torch.stack([enlarge(subject.masks, subject.first, frames) for subject in subjects]).amax(0)


def masks_of(latent: Mapping[str, Any]) -> Tensor:
    """Read the masks that were made beside a clip.

    Args:
        latent: LATENT of the sampler that made it.

    Returns:
        (frames, H, W) in [0, 1], one for each frame of the clip at its size, float32 on the CPU; all subjects in one.

    Raises:
        MIVAError: there are none for these latents.
    """
    record = latent.get(MASKS)
    if record is None:
        raise MIVAError(
            "This latent comes from no masked motion, so it has no masks: connect the `LATENT` of a sampler that the "
            "`model` and the `latent` of Apply MIVA with a masked motion go to."
        )
    return record.masks(latent["samples"])


def _digest(samples: Tensor) -> str:
    """The same whether ComfyUI keeps the results of nodes in float32 or, as it may be told, in float16."""
    rounded = samples.detach().to("cpu", torch.float16).contiguous()
    return hashlib.blake2b(f"{tuple(samples.shape)}".encode() + rounded.numpy().tobytes(), digest_size=16).hexdigest()
