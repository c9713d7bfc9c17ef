"""Wan 2.1 and 2.2 text-to-video, as the rest of the package sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...adapters.backbone import Kind
from ..recipe import full_size_recipes
from ..spec import Architecture, BaseFile, BaseSpec, for_diffusers
from .releases import WAN_2_1_1_3B, WAN_2_1_14B, WAN_2_2_HIGH, WAN_2_2_LOW, Release
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


TRANSFORMER = Architecture(
    family="wan",
    model_class="WanTransformer3DModel",
    describe=describe_wan,
    processors=_processors,
    installer=for_diffusers("WanAttnProcessor"),
    attention_spans_frames=True,
    attention_grids=_patches,
)

_VAE = BaseFile(
    "vae",
    "its VAE",
    input="vae",
    folder="vae",
    what="VAE",
    tooltip="wan_2.1_vae.safetensors, in models/vae.",
)


def _spec(release: Release, not_these: str) -> BaseSpec:
    """A release as a base; `not_these` names files of the same folder that it cannot be loaded from."""

    def load(**arguments: Any) -> Base:
        from .loading import load_wan

        return load_wan(release=release, **arguments)

    checkpoint = BaseFile(
        "checkpoint",
        release.menu,
        input="diffusion_model",
        folder="diffusion_models",
        what="Wan model",
        tooltip=f"{release.file}, in models/diffusion_models. Not the {not_these} files.",
    )
    return BaseSpec(
        name=release.name,
        menu=release.menu,
        architecture=TRANSFORMER,
        files=(checkpoint, _VAE),
        load=load,
        backbones=lambda: [(release.known_as, release.backbone)],
        recipes=full_size_recipes(paper_steps=8_000),
        half_precision="bfloat16",
        fits_float16=False,
        latent_format="Wan21",
        # It decodes a clip as a whole, the others frame by frame.
        decoding_memory=7000,
    )


WAN = _spec(WAN_2_1_1_3B, "14B, image-to-video or fp8")
WAN_14B = _spec(WAN_2_1_14B, "image-to-video or fp8")
WAN_HIGH = _spec(WAN_2_2_HIGH, "5B, image-to-video or fp8")
WAN_LOW = _spec(WAN_2_2_LOW, "5B, image-to-video or fp8")
