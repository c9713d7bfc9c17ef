"""Where Wan is adapted."""

from typing import Any

from ...adapters.backbone import Backbone, Kind, Site
from ...errors import MIVAError


def describe_wan(model: Any) -> Backbone:
    """The attention sites of diffusers' `WanTransformer3DModel`, text-to-video, in any size.

    Its self-attention spans space and time, so there are no temporal sites.

    Raises:
        MIVAError: it is an image-to-video model, or its patches hold several frames.
    """
    if model.config.image_dim is not None:
        raise MIVAError("This is an image-to-video Wan model; use the text-to-video one, which adapters start from.")
    frames_per_patch, _, _ = model.config.patch_size
    if frames_per_patch != 1:
        raise MIVAError(f"This Wan model has patches of {model.config.patch_size}, expected one frame to a patch.")
    sites: list[Site] = []
    for i, block in enumerate(model.blocks):
        sites.append(_site(f"blocks.{i}.attn1", "sa", block.attn1))
        sites.append(_site(f"blocks.{i}.attn2", "ca", block.attn2))
    time_module = "condition_embedder.time_embedder"
    time_dim = model.get_submodule(time_module).linear_2.out_features
    return Backbone("wan", tuple(sites), time_module, time_module, time_dim)


def _site(name: str, kind: Kind, attention: Any) -> Site:
    return Site(name, name, kind, attention.inner_dim, attention.heads)
