"""Where a base model can be adapted: the attention sites, found by name and checked, never run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, field
from typing import Literal

from torch import nn

from ..errors import MIVAError

Kind = Literal["sa", "ca", "ta"]


@dataclass(frozen=True)
class Site:
    """One attention module of the base.

    Args:
        path: its dotted name in the model.
        kind: "sa" spatial self-attention, "ca" text cross-attention, "ta" temporal self-attention.
        dim: width d of its tokens, of its query and of its output.
        heads: number of attention heads.
    """

    path: str
    kind: Kind
    dim: int
    heads: int


@dataclass(frozen=True)
class Backbone:
    """What an adapter needs to know of a base model.

    Args:
        family: name of the architecture, such as "animatediff".
        sites: all attention sites, in the model's own order.
        time_module: dotted name of the module whose output is the time embedding.
        time_dim: width d_t of that embedding.
        revision: name of the weights, where adapters fit just these; empty for bases whose fine-tunes share adapters.
    """

    family: str
    sites: tuple[Site, ...]
    time_module: str
    time_dim: int
    revision: str = field(default="", compare=False)

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits, equal for two bases of the same structure and revision."""
        description = [self.family, self.time_module, self.time_dim, [astuple(site) for site in self.sites]]
        if self.revision:
            description.append(self.revision)
        return hashlib.sha256(json.dumps(description).encode()).hexdigest()[:12]


Describer = Callable[[nn.Module], Backbone]
_describers: dict[str, Describer] = {}


def register_backbone(class_name: str) -> Callable[[Describer], Describer]:
    """Decorator: the function describes models of the class with this name.

    The name stands in for the class, so that nothing has to import the library the class comes from.
    """

    def register(describer: Describer) -> Describer:
        _describers[class_name] = describer
        return describer

    return register


def describe(model: nn.Module) -> Backbone:
    """Finds the attention sites of a supported model; the weights may be on the meta device.

    Raises:
        MIVAError: the model's class is not supported, or one of its attentions does more than this pack reproduces.
    """
    for cls in type(model).__mro__:
        if cls.__name__ in _describers:
            return _describers[cls.__name__](model)
    raise MIVAError(
        f"A model of class {type(model).__name__} is not supported; pass one of {', '.join(sorted(_describers))} "
        "(not a pipeline, nor a model wrapped by torch.compile)."
    )


@register_backbone("WanTransformer3DModel")
def _describe_wan(model: nn.Module) -> Backbone:
    """Wan 2.1 text-to-video, in any size. Its attention spans space and time, so there are no temporal sites."""
    if model.config.image_dim is not None:
        raise MIVAError("This is an image-to-video Wan model; use the text-to-video one, which adapters start from.")
    frames_per_patch, _, _ = model.config.patch_size
    if frames_per_patch != 1:
        raise MIVAError(f"This Wan model has patches of {model.config.patch_size}, expected one frame to a patch.")
    sites = tuple(
        Site(f"blocks.{i}.{name}", kind, attention.inner_dim, attention.heads)
        for i, block in enumerate(model.blocks)
        for name, kind, attention in (("attn1", "sa", block.attn1), ("attn2", "ca", block.attn2))
    )
    time_module = "condition_embedder.time_embedder"
    return Backbone("wan", sites, time_module, model.get_submodule(time_module).linear_2.out_features)


_SPATIAL = re.compile(r"\.attentions\.\d+\.transformer_blocks\.\d+\.(attn[12])$")
_TEMPORAL = re.compile(r"\.motion_modules\.\d+\.transformer_blocks\.\d+\.attn[12]$")


@register_backbone("UNetMotionModel")
def _describe_unet_motion(model: nn.Module) -> Backbone:
    """Stable Diffusion 1.5 with AnimateDiff motion modules, in any size."""
    for option in ("addition_embed_type", "encoder_hid_dim_type"):
        if getattr(model.config, option, None) is not None:
            raise MIVAError(
                f"This UNetMotionModel sets {option}={getattr(model.config, option)!r} (SDXL or IP-Adapter); "
                "use a plain SD 1.5 U-Net with motion modules."
            )
    sites = tuple(_unet_sites(model))
    if not any(site.kind == "ta" for site in sites):
        raise MIVAError("This UNetMotionModel has no motion modules; load an AnimateDiff motion module into it.")
    return Backbone("animatediff", sites, "time_embedding", model.time_embedding.linear_2.out_features)


def _unet_sites(model: nn.Module) -> Iterator[Site]:
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


def _attention_site(path: str, kind: Kind, attention: nn.Module) -> Site:
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
    return Site(path, kind, attention.query_dim, attention.heads)
