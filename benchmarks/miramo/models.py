"""The models that are measured, as functions from a batch to the flow that they answer."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from miva_core import load_base
from miva_core.bases.base import Base
from tools.miramo.losses import SCHEDULE, encode, noised
from tools.miramo.model import WordedMiraMo, build_model, load_codec, load_halves
from tools.motion_world.batch import WORDS, WorldBatch

Answer = Callable[[WorldBatch, int], Tensor]
"""From a batch, of which frame 1 alone may be looked at, and a seed of the noise to the flow (B, F, 2, H, W)."""


def trained_model(checkpoint: Path) -> Answer:
    """A model in training.

    Args:
        checkpoint: `ema.pt` of `tools.train_miramo`.
    """
    codec = load_codec()
    model = WordedMiraMo(build_model(codec))
    load_halves(checkpoint, model)
    model.eval()

    def flow_of(batch: WorldBatch, seed: int) -> Tensor:
        still = encode(codec, batch.frames[:, :1])
        return _in_one_step(model.model, still, model.caption(batch.words, batch.speeds), batch, seed)

    return flow_of


def shipped_model() -> Answer:
    """The built-in MiraMo."""
    base = load_base("miramo")

    def flow_of(batch: WorldBatch, seed: int) -> Tensor:
        still = base.codec.encode(batch.frames[:, 0])[:, :, None]
        return _in_one_step(base.model, still, _caption(base, batch), batch, seed)

    return flow_of


def _caption(base: Base, batch: WorldBatch) -> Tensor:
    """Captions (B, 3, D), each vector as long as its motion is fast."""
    assert base.vocabulary is not None
    vectors = {name.partition(" ")[2]: vector for name, vector in base.vocabulary.vectors.items()}
    table = torch.stack([torch.zeros_like(vectors[WORDS[1]]), *(vectors[word] for word in WORDS[1:])])
    return table[batch.words] * batch.speeds[..., None]


@torch.no_grad()
def _in_one_step(model: torch.nn.Module, still: Tensor, caption: Tensor, batch: WorldBatch, seed: int) -> Tensor:
    """The flow that a model answers to pure noise around frame 1, whose latents are (B, C, 1, h, w)."""
    still = still.expand(-1, -1, len(batch.times), -1, -1)
    last = torch.full((len(still),), float(SCHEDULE["num_train_timesteps"]))
    noise = torch.randn(still.shape, generator=torch.Generator().manual_seed(seed))
    noisy = noised(still, last, noise)
    flow: Tensor = model(noisy, last, caption, batch.guide, batch.guide_kind, batch.times, batch.shake).flow
    return flow
