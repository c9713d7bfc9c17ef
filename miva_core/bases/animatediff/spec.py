"""Stable Diffusion 1.5 with AnimateDiff, as the rest of the package sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ...adapters.backbone import Backbone, Kind
from ..recipe import full_size_recipes
from ..spec import Architecture, BaseFile, BaseSpec, for_diffusers
from .sites import describe_unet, unet_backbone

if TYPE_CHECKING:
    from ...attention.processor import Processor
    from ..base import Base


def _processors() -> Mapping[Kind, type[Processor]]:
    from ...attention.cross_attention import CrossAttention
    from ...attention.self_attention import SelfAttention
    from ...attention.temporal_attention import TemporalAttention

    return {"sa": SelfAttention, "ca": CrossAttention, "ta": TemporalAttention}


def _halvings(height: int, width: int) -> list[tuple[int, int]]:
    from ...attention.guidance import halvings

    return halvings(height, width)


def _load(**arguments: Any) -> Base:
    from .loading import load_animatediff

    return load_animatediff(**arguments)


def _backbones() -> Iterator[tuple[str, Backbone]]:
    yield "Stable Diffusion 1.5 with AnimateDiff v1 or v3", unet_backbone(middle_motion=False)
    yield "Stable Diffusion 1.5 with AnimateDiff v2", unet_backbone(middle_motion=True)


UNET = Architecture(
    family="animatediff",
    model_class="UNetMotionModel",
    describe=describe_unet,
    processors=_processors,
    installer=for_diffusers("AttnProcessor2_0", "AttnProcessor"),
    attention_spans_frames=False,
    attention_grids=_halvings,
)

_CHECKPOINT = BaseFile(
    "checkpoint",
    "a Stable Diffusion 1.5 file",
    input="checkpoint",
    folder="checkpoints",
    what="checkpoint",
    tooltip="A Stable Diffusion 1.5 model, in models/checkpoints. Fine-tunes work, too; SDXL and fp8 files do not.",
)
_MOTION_MODULE = BaseFile(
    "motion_module",
    "its motion module",
    input="motion_module",
    folder="animatediff_models",
    what="motion module",
    tooltip="The AnimateDiff motion module, in models/animatediff_models: v3_sd15_mm.ckpt is the best one. Take the "
    "one that your motions were trained with.",
)
_VAE = BaseFile(
    "vae",
    "one other than the checkpoint's",
    input="vae",
    folder="vae",
    what="VAE",
    tooltip="Another VAE in place of the one in the checkpoint.",
    without="the checkpoint's own",
)

ANIMATEDIFF = BaseSpec(
    name="animatediff",
    menu="SD 1.5 + AnimateDiff",
    architecture=UNET,
    files=(_CHECKPOINT, _MOTION_MODULE, _VAE),
    load=_load,
    backbones=_backbones,
    recipes=full_size_recipes(paper_steps=15_000),
    half_precision="float16",
    fits_float16=True,
    latent_format="SD15",
)
