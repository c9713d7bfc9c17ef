"""The built-in MiraMo, as the rest of the package sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ...adapters.backbone import Backbone
from ...storage.json_files import read_json
from ..spec import BaseSpec
from ..tiny.spec import WEIGHTS as TINY_WEIGHTS
from .architecture import MIRAMO
from .recipe import RECIPES
from .sites import miramo_backbone

if TYPE_CHECKING:
    import torch

    from ..base import Base

WEIGHTS = Path(__file__).parent / "weights"
CODEC = TINY_WEIGHTS / "codec"
"""It shares that of the other built-in base."""
SHIPPED = Path(__file__).parent / "adapters"
"""Folder of the adapters that come with it."""


def _load(device: torch.device | str, dtype: torch.dtype) -> Base:
    from .loading import load_miramo

    # Small as it is, it always runs in float32.
    return load_miramo(WEIGHTS, CODEC, device)


def _backbones() -> Iterator[tuple[str, Backbone]]:
    settings = read_json(WEIGHTS / "settings.json")
    config = read_json(WEIGHTS / "transformer" / "config.json")
    yield "the built-in MiraMo", miramo_backbone(config, settings["caption_slots"], settings["revision"])


def _words() -> tuple[str, ...]:
    from safetensors import safe_open

    from ..vocabulary import phrases

    with safe_open(WEIGHTS / "words.safetensors", framework="np") as file:
        return phrases(json.loads(file.metadata()["words"]))


MIRAMO_TINY = BaseSpec(
    name="miramo",
    menu="MiraMo tiny (built in)",
    architecture=MIRAMO,
    files=(),
    load=_load,
    backbones=_backbones,
    recipes=RECIPES,
    half_precision=None,
    fits_float16=True,
    latent_format=None,
    predicts_flow=True,
    guided=True,
    adapters=SHIPPED,
    words=_words,
)
