"""The built-in MiraMo as a base, also while it is still in training."""

from dataclasses import replace
from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from miva_core import NoiseInit, describe, load_base
from miva_core.bases.base import Base
from miva_core.bases.miramo.caption_layers import SLOTS, guided_entries
from tools.miramo.free_directions import free_directions
from tools.miramo.losses import SCHEDULE
from tools.miramo.model import TEXT_DIM, WordedMiraMo, build_model, load_codec, load_halves


def chosen_base(checkpoint: Path | None) -> Base:
    """The base that ships, or one with the weights of a training, see `tools.train_miramo`."""
    return load_base("miramo") if checkpoint is None else _in_training(checkpoint)


def _in_training(checkpoint: Path) -> Base:
    codec = load_codec()
    worded = WordedMiraMo(build_model(codec))
    load_halves(checkpoint, worded)
    free_directions(worded.model, worded.vectors[1:])
    model = worded.model.eval().requires_grad_(False)
    return Base(
        name="miramo",
        model=model,
        codec=codec,
        scheduler=FlowMatchEulerDiscreteScheduler(**SCHEDULE),
        backbone=replace(describe(model), revision="in training"),
        frames=16,
        longest=16,
        size=(64, 64),
        multiple=8,
        fps=8,
        centred=True,
        text=torch.zeros(1, len(SLOTS), TEXT_DIM),
        text_per_frame=False,
        scale=8,
        stride=1,
        steps=1,
        noise=NoiseInit(),
        adain=False,
        predicts_flow=True,
        guided=True,
        guided_entries=guided_entries(TEXT_DIM),
    )
