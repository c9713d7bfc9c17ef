"""The built-in U-Net, as the rest of the package sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ...adapters.backbone import Backbone
from ...storage.json_files import read_json
from ..animatediff.sites import Level, unet_backbone
from ..animatediff.spec import UNET
from ..spec import BaseSpec
from .recipe import RECIPES

if TYPE_CHECKING:
    import torch

    from ..base import Base

WEIGHTS = Path(__file__).parent / "weights"
SHIPPED = Path(__file__).parent / "adapters"
"""Folder of the adapters that come with it."""


def _load(device: torch.device | str, dtype: torch.dtype) -> Base:
    from .loading import load_tiny

    # Small as it is, it always runs in float32.
    return load_tiny(WEIGHTS, device)


def _backbones() -> Iterator[tuple[str, Backbone]]:
    config = read_json(WEIGHTS / "unet" / "config.json")
    levels = [Level(*level) for level in zip(config["block_out_channels"], config["num_attention_heads"], strict=True)]
    structure = unet_backbone(
        levels,
        config["layers_per_block"],
        middle_motion=config["use_motion_mid_block"],
        text_dim=config["cross_attention_dim"],
    )
    yield "the built-in U-Net", replace(structure, revision=read_json(WEIGHTS / "settings.json")["revision"])


TINY = BaseSpec(
    name="tiny",
    menu="tiny (built in)",
    architecture=UNET,
    files=(),
    load=_load,
    backbones=_backbones,
    recipes=RECIPES,
    half_precision=None,
    fits_float16=True,
    latent_format=None,
    predicts_flow=True,
    adapters=SHIPPED,
)
