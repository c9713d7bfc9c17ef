"""Wan 2.1 text-to-video, as the rest of the package sees it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ...adapters.backbone import Backbone, Kind
from ..recipe import full_size_recipes
from ..spec import Architecture, BaseFile, BaseSpec, for_diffusers
from .sites import describe_wan

if TYPE_CHECKING:
    from ...attention.processor import Processor
    from ..base import Base


def _processors() -> Mapping[Kind, type[Processor]]:
    from .processors import WanCrossAttention, WanSelfAttention

    return {"sa": WanSelfAttention, "ca": WanCrossAttention}


def _patches(height: int, width: int) -> list[tuple[int, int]]:
    """All its attention runs on one grid, of patches of 2 x 2 latents."""
    return [(height // 2, width // 2)]


def _load(**arguments: Any) -> Base:
    from .loading import load_wan

    return load_wan(**arguments)


def _backbones() -> Iterator[tuple[str, Backbone]]:
    from .loading import meta_transformer

    yield "Wan 2.1 1.3B", describe_wan(meta_transformer())


TRANSFORMER = Architecture(
    family="wan",
    model_class="WanTransformer3DModel",
    describe=describe_wan,
    processors=_processors,
    installer=for_diffusers("WanAttnProcessor"),
    attention_spans_frames=True,
    attention_grids=_patches,
)

_CHECKPOINT = BaseFile(
    "checkpoint",
    "Wan 2.1",
    input="diffusion_model",
    folder="diffusion_models",
    what="Wan model",
    tooltip="wan2.1_t2v_1.3B_fp16.safetensors, in models/diffusion_models. Not the 14B, image-to-video or fp8 files.",
)
_VAE = BaseFile(
    "vae",
    "its VAE",
    input="vae",
    folder="vae",
    what="VAE",
    tooltip="wan_2.1_vae.safetensors, in models/vae.",
)

WAN = BaseSpec(
    name="wan",
    menu="Wan 2.1 1.3B",
    architecture=TRANSFORMER,
    files=(_CHECKPOINT, _VAE),
    load=_load,
    backbones=_backbones,
    recipes=full_size_recipes(paper_steps=8_000),
    half_precision="bfloat16",
    fits_float16=False,
    latent_format="Wan21",
    # It decodes a clip as a whole, the others frame by frame.
    decoding_memory=7000,
)
