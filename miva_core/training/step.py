"""The loss of one batch, as a module that owns base and adapter, so that wrappers for several processes see both."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import torch
from torch import Tensor, nn

from ..adapters.adapter import MIVAAdapter
from ..attention.injection import Injection
from ..bases.base import Base
from ..bases.inject import inject
from ..bases.recipe import Recipe
from .degrees import bucket_degrees
from .denoiser import Denoiser, NoisedClips
from .draws import Draws
from .gradient_checkpointing import gradient_checkpointing
from .latent_clips import Batch
from .loss import place_weights, rolled_out_losses
from .mask_loss import flow_within, masked_losses


class TrainStep(nn.Module):
    """Base and adapter, the base frozen. Call it inside `injected`, and call backward there.

    Args:
        base: its parameters do not require gradients.
        adapter: what is trained.
        recipe: see `Recipe`.
        partner: for masked adapters, another of the second subject of the clips, which is injected and trained, too.
    """

    def __init__(self, base: Base, adapter: MIVAAdapter, recipe: Recipe, partner: MIVAAdapter | None = None) -> None:
        super().__init__()
        self.model = base.model
        self.adapter = adapter
        self.partner = partner
        self._recipe = recipe
        self._denoiser = replace(Denoiser.of(base), say=self._say, guided_by=adapter.config.guide)

    @property
    def learners(self) -> dict[str, MIVAAdapter]:
        """What is trained, by the names that files of a training's state have for it."""
        return {"adapter": self.adapter} | ({"beside": self.partner} if self.partner else {})

    @contextmanager
    def injected(self) -> Iterator[None]:
        """The adapters are injected into the base; afterwards the base is as it was."""
        with ExitStack() as stack:
            self._injection: Injection = stack.enter_context(inject(self.model, **self.learners))
            if self._recipe.checkpointing:
                stack.enter_context(gradient_checkpointing(self.model))
            yield

    def forward(self, batch: Batch, draws: Draws) -> Tensor:
        """The mean loss over clips and mask sequences.

        Args:
            batch: B clips.
            draws: for B clips; its steps may stay on the CPU.
        """
        clips = noised_clips(batch, self._recipe.subject)
        if self.adapter.degree and len(batch.motion):
            clips = replace(clips, degrees=bucket_degrees(batch.motion[0], self.adapter.degree))
        if not self.adapter.config.mask:
            return rolled_out_losses(self._denoiser, clips, draws).mean()
        return masked_losses(
            self._injection, self._denoiser, clips, batch.masks, draws, lambda latents: _read_out(batch, latents)
        ).mean()

    def _say(self, clips: NoisedClips) -> None:
        if clips.words is not None:
            hearing = [name for name, learner in self.learners.items() if learner.config.words]
            self._injection.set_words(**dict.fromkeys(hearing, clips.words))
        if clips.degrees is not None:
            self._injection.set_degrees(adapter=clips.degrees)


def noised_clips(batch: Batch, subject: float) -> NoisedClips:
    """The clips of a batch, and after them the mask sequences that it holds, for their losses.

    Args:
        batch: B clips with K mask sequences each.
        subject: how much more places count where the subject is, see `place_weights`.

    Returns:
        (1 + K) B clips, without a text of their own.
    """
    generated = len(batch.latents) - 1
    subjects = batch.masks.amax(0) if len(batch.masks) else torch.zeros_like(batch.latents[0, :, 0])
    flow = None
    if len(batch.flow):
        clips = batch.flow[0]
        flow = torch.cat([clips, *(flow_within(clips, mask) for mask in batch.masks[:generated])])
    return NoisedClips(
        batch.latents.flatten(0, 1),
        batch.noise.flatten(0, 1),
        weights=place_weights(subjects, subject).repeat(1 + generated, 1, 1, 1),
        flow=flow,
        words=batch.words[0] if len(batch.words) else None,
        guide=batch.guide[0] if len(batch.guide) else None,
    )


def _read_out(batch: Batch, latents: Tensor) -> Tensor:
    """Masks (K B, F, h, w) of the latents of mask sequences (K B, C, F, h, w), each by its own linear read-out."""
    weight, bias = batch.readout_weight.flatten(0, 1), batch.readout_bias.flatten()
    return (torch.einsum("bc,bcfhw->bfhw", weight, latents) + bias[:, None, None, None]).clamp(0, 1)
