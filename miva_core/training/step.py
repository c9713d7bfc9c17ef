"""The loss of one batch, as a module that owns base and adapter, so that wrappers for several processes see both."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from ..adapters.adapter import MIVAAdapter
from ..bases.base import Base
from ..bases.inject import inject
from ..bases.recipe import Recipe
from .denoiser import Denoiser
from .draws import Draws
from .gradient_checkpointing import gradient_checkpointing
from .latent_clips import Batch
from .loss import place_weights, rolled_out_losses
from .mask_loss import masked_losses


class TrainStep(nn.Module):
    """Base and adapter, the base frozen. Use it inside `at_work`, and call backward there.

    Args:
        base: its parameters do not require gradients.
        adapter: what is trained.
        recipe: see `Recipe`.
        beside: for masked adapters, another that is at work on the second subject of the clips, and is trained, too.
    """

    def __init__(self, base: Base, adapter: MIVAAdapter, recipe: Recipe, beside: MIVAAdapter | None = None) -> None:
        super().__init__()
        self.model = base.model
        self.adapter = adapter
        self.beside = beside
        self._base, self._recipe = base, recipe
        self._denoiser = Denoiser.of(base)

    @property
    def learners(self) -> dict[str, MIVAAdapter]:
        """What is trained, by the part it plays."""
        return {"adapter": self.adapter} | ({"beside": self.beside} if self.beside else {})

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """The adapter is injected; afterwards the base is as it was."""
        with ExitStack() as stack:
            self._miva = stack.enter_context(inject(self.model, **self.learners))
            if self._recipe.checkpointing:
                stack.enter_context(gradient_checkpointing(self.model))
            yield

    def forward(self, batch: Batch, noise: Tensor, draws: Draws) -> Tensor:
        """The mean loss over clips and mask sequences.

        Args:
            batch: B clips. noise: like `batch.latents`.
            draws: for B clips; its steps may stay on the CPU.
        """
        clips = batch.latents.shape[1]
        text = self._base.text
        text = text if text is None else text.to(batch.latents.device).expand(clips, -1, -1)
        weights = place_weights(
            batch.masks.amax(0) if len(batch.masks) else torch.zeros_like(batch.latents[0, :, 0]),
            self._recipe.subject,
        )
        latents, noise = batch.latents.flatten(0, 1), noise.flatten(0, 1)
        flow = batch.flow[0] if len(batch.flow) else None
        if not self.adapter.config.mask:
            return rolled_out_losses(
                self._denoiser, text, latents, noise, draws.t, draws.later, draws.own, weights, flow
            ).mean()
        return masked_losses(
            self._miva,
            self._denoiser,
            text,
            latents,
            noise,
            draws.t,
            draws.later,
            draws.own,
            batch.masks,
            weights,
            read_out=lambda z: _read_out(batch, z),
            truth=draws.truth,
            unguided=draws.unguided,
            flow=flow,
        ).mean()


def _read_out(batch: Batch, latents: Tensor) -> Tensor:
    """Masks (K B, F, h, w) of the latents of mask sequences (K B, C, F, h, w), each by its own linear read-out."""
    weight, bias = batch.readout_weight.flatten(0, 1), batch.readout_bias.flatten()
    return (torch.einsum("bc,bcfhw->bfhw", weight, latents) + bias[:, None, None, None]).clamp(0, 1)
