"""Where Wan is adapted."""

from collections.abc import Mapping
from typing import Any

from ...adapters.backbone import Backbone, Site
from ...errors import MIVAError

_FIRST_CHANNELS = 16
"""Channels of the latents of Wan 2.1, which the 14B models of Wan 2.2 share."""

NOT_THE_5B = (
    "Wan 2.2 5B is not supported yet: it is shown its first frame without noise at a step of its own, and there are no "
    "motions trained that way. Load Wan 2.1, or Wan 2.2 14B."
)
"""Why the only Wan of another latent space has no adapters."""


def describe_wan(model: Any) -> Backbone:
    """The attention sites of diffusers' `WanTransformer3DModel`, text-to-video, in any size.

    Raises:
        MIVAError: it is an image-to-video model, or its patches hold several frames.
    """
    config = model.config
    if config.image_dim is not None or config.in_channels != config.out_channels:
        raise MIVAError("This is an image-to-video Wan model; use the text-to-video one, which adapters start from.")
    if config.patch_size[0] != 1:
        raise MIVAError(f"This Wan model has patches of {config.patch_size}, expected one frame to a patch.")
    return config_backbone(config)


def config_backbone(config: Mapping[str, Any]) -> Backbone:
    """The attention sites of a `WanTransformer3DModel` by its config alone.

    Args:
        config: of diffusers.
    """
    heads = config["num_attention_heads"]
    return wan_backbone(heads * config["attention_head_dim"], heads, config["num_layers"], config["out_channels"])


def wan_backbone(dim: int, heads: int, blocks: int, latents: int) -> Backbone:
    """The attention sites of a Wan of some size, by the names of diffusers.

    Its self-attention spans space and time, so there are no temporal sites.

    Args:
        dim: width of its tokens, and of its time embedding.
        heads: attention heads of every attention.
        blocks: number of its blocks.
        latents: channels of the latents that it makes, which tell Wan's latent spaces apart.
    """
    sites: list[Site] = []
    for i in range(blocks):
        sites.append(Site(f"blocks.{i}.attn1", f"blocks.{i}.attn1", "sa", dim, heads))
        sites.append(Site(f"blocks.{i}.attn2", f"blocks.{i}.attn2", "ca", dim, heads))
    time_module = "condition_embedder.time_embedder"
    space = "" if latents == _FIRST_CHANNELS else f"{latents} channels"
    return Backbone("wan", tuple(sites), time_module, time_module, dim, space)
