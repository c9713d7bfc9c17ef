"""The models that are measured, as functions from a batch to the flow that they answer."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from tools.miramo.losses import SCHEDULE, answer, encode, noised
from tools.miramo.model import WordedMiraMo, build_model, load_codec, load_halves
from tools.motion_world.batch import WorldBatch

Answer = Callable[[WorldBatch, int], Tensor]
"""From a batch, of which frame 1 alone may be looked at, and a seed of the noise to the flow (B, F, 2, H, W)."""


def trained_model(checkpoint: Path) -> Answer:
    """A model in training, one step from pure noise.

    Args:
        checkpoint: `ema.pt` of `tools.train_miramo`.
    """
    codec = load_codec()
    model = WordedMiraMo(build_model(codec))
    load_halves(checkpoint, model)
    model.eval()

    @torch.no_grad()
    def flow_of(batch: WorldBatch, seed: int) -> Tensor:
        still = encode(codec, batch.frames[:, :1]).expand(-1, -1, len(batch.times), -1, -1)
        last = torch.full((len(still),), float(SCHEDULE["num_train_timesteps"]))
        noise = torch.randn(still.shape, generator=torch.Generator().manual_seed(seed))
        return answer(model, batch, noised(still, last, noise), last).flow

    return flow_of


def still_model(batch: WorldBatch, seed: int) -> Tensor:
    """A picture that does not move: what any model has to be better than."""
    return torch.zeros_like(batch.flow)
