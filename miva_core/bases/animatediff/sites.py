"""Where a Stable Diffusion U-Net with motion modules is adapted."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ...adapters.backbone import Backbone, Kind, Site
from ...errors import MIVAError

_SPATIAL = re.compile(r"\.attentions\.\d+\.transformer_blocks\.\d+\.(attn[12])$")
_TEMPORAL = re.compile(r"\.motion_modules\.\d+\.transformer_blocks\.\d+\.attn[12]$")
_TIME = "time_embedding"


@dataclass(frozen=True)
class Level:
    """A resolution of a U-Net.

    Args:
        width: of its tokens.
        heads: attention heads of every attention there.
        attends: whether it has spatial attention; its motion modules are there in any case.
    """

    width: int
    heads: int
    attends: bool = True


SD15_TEXT = 768
"""Width of the tokens of a text of Stable Diffusion 1.5."""
SD15_LEVELS = (Level(320, 8), Level(640, 8), Level(1280, 8), Level(1280, 8, attends=False))
"""Those of Stable Diffusion 1.5, the finest first."""


def describe_unet(model: Any) -> Backbone:
    """The attention sites of diffusers' `UNetMotionModel` in the layout of Stable Diffusion 1.5, in any size.

    Raises:
        MIVAError: it is an SDXL or IP-Adapter model, has no motion modules, or has attention that does more than
            adapters reproduce.
    """
    for option in ("addition_embed_type", "encoder_hid_dim_type"):
        if getattr(model.config, option, None) is not None:
            raise MIVAError(
                f"This UNetMotionModel sets {option}={getattr(model.config, option)!r} (SDXL or IP-Adapter); "
                "use a plain SD 1.5 U-Net with motion modules."
            )
    sites = tuple(_unet_sites(model))
    if not any(site.kind == "ta" for site in sites):
        raise MIVAError("This UNetMotionModel has no motion modules; load an AnimateDiff motion module into it.")
    time_dim, text_dim = model.time_embedding.linear_2.out_features, model.config.cross_attention_dim
    return Backbone("animatediff", sites, _TIME, _TIME, time_dim, text_dim=text_dim)


def unet_backbone(
    levels: Sequence[Level] = SD15_LEVELS, layers: int = 2, *, middle_motion: bool, text_dim: int = SD15_TEXT
) -> Backbone:
    """The attention sites of a Stable Diffusion U-Net with motion modules, by the names of diffusers.

    Args:
        levels: its resolutions, the finest first.
        layers: ResNets of each level on the way down; on the way up there is one more.
        middle_motion: whether there is a motion module in the middle, as AnimateDiff v2 has.
        text_dim: width of the tokens of its texts.
    """
    sites = [site for i, level in enumerate(levels) for site in _block_sites(f"down_blocks.{i}", level, layers)]
    for i, level in enumerate(reversed(levels)):
        sites.extend(_block_sites(f"up_blocks.{i}", level, layers + 1))
    middle = Level(levels[-1].width, levels[-1].heads)
    sites.extend(_block_sites("mid_block", middle, 1, motion=middle_motion))
    return Backbone("animatediff", tuple(sites), _TIME, _TIME, 4 * levels[0].width, text_dim=text_dim)


def _block_sites(block: str, level: Level, layers: int, motion: bool = True) -> Iterator[Site]:
    lists: dict[str, tuple[Kind, Kind]] = {}
    if level.attends:
        lists["attentions"] = "sa", "ca"
    if motion:
        lists["motion_modules"] = "ta", "ta"
    for modules, kinds in lists.items():
        for layer in range(layers):
            for number, kind in enumerate(kinds, 1):
                path = f"{block}.{modules}.{layer}.transformer_blocks.0.attn{number}"
                yield Site(path, path, kind, level.width, level.heads)


def _unet_sites(model: Any) -> Iterator[Site]:
    for path, module in model.named_modules():
        if _TEMPORAL.search(path):
            yield _attention_site(path, "ta", module)
        elif spatial := _SPATIAL.search(path):
            yield _attention_site(path, "sa" if spatial[1] == "attn1" else "ca", module)


# what diffusers' Attention must have for `softmax(q kᵀ / √c) v` and one output map to be all that it does
_PLAIN = {
    "group_norm": None,
    "spatial_norm": None,
    "norm_q": None,
    "norm_k": None,
    "norm_cross": None,
    "added_kv_proj_dim": None,
    "residual_connection": False,
    "rescale_output_factor": 1.0,
    "scale_qk": True,
    "is_causal": False,
    "pre_only": False,
}


def _attention_site(path: str, kind: Kind, attention: Any) -> Site:
    """Checks one diffusers `Attention` and names what an adapter needs of it."""
    for option, plain in _PLAIN.items():
        value = getattr(attention, option, plain)
        if value != plain:
            raise MIVAError(f"The attention at {path} sets {option}={value!r}, but only plain attention is supported.")
    dims = {attention.query_dim, attention.inner_dim, attention.out_dim, attention.inner_kv_dim}
    if len(dims) > 1:
        raise MIVAError(f"The attention at {path} mixes widths {sorted(dims)}, but only one width is supported.")
    if attention.is_cross_attention != (kind == "ca"):
        found = "cross-attention" if attention.is_cross_attention else "self-attention"
        raise MIVAError(f"The attention at {path} is {found}, the other kind was expected there.")
    return Site(path, path, kind, attention.query_dim, attention.heads)
