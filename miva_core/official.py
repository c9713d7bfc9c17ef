"""Research checkpoints of MIVA's authors, as adapters of this package.

Their AnimateDiff code trains W_Q as a whole matrix of its own; here it is kept as the difference to the base, so the
Stable Diffusion file it was trained on has to be at hand.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from .adapter import MIVAAdapter
from .animatediff import CONFIGS, meta_unet, read_unet
from .backbones import Backbone, Site, describe
from .config import MIVAConfig
from .errors import MIVAError
from .motion_lora import temporal_place
from .weights import open_weights, what_weights

_LORA = {"q": "to_q_lora", "k": "to_k_lora", "v": "to_v_lora", "out": "to_out_lora"}


def convert_animatediff(
    official: str | os.PathLike[str], checkpoint: str | os.PathLike[str], configs: Path = CONFIGS
) -> tuple[MIVAAdapter, tuple[str, ...]]:
    """Read an `adapter.pt` of the authors' AnimateDiff code (also with older names, or from several GPUs).

    Args:
        checkpoint: the Stable Diffusion 1.5 file it was trained on.

    Returns:
        The adapter, and the names in the file that it has no place for, such as those of a mask stream.

    Raises:
        MIVAError: one of the files is something else, or tensors are missing.
    """
    kind = "MIVA research checkpoint"
    tensors = {_modern(name): tensor for name, tensor in open_weights(official, kind).items()}
    if not any("i2v_adapter.to_q.weight" in name for name in tensors):
        raise MIVAError(f"{official} is {what_weights(tensors)}, but an official {kind} was expected.")
    unet = meta_unet(configs)
    backbone = describe(unet)
    places = {name: place for site in backbone.sites for name, place in _places(site)}
    for place in places.values():
        if place not in tensors:
            raise MIVAError(f"{official} lacks {place}: it is incomplete, or of another version of the authors' code.")
    state = {name: tensors[place].to(torch.float32, copy=True) for name, place in places.items()}
    adapter, base = _adapter(backbone, state, official), read_unet(checkpoint, unet.config)
    with torch.no_grad():
        for site in backbone.sites:
            if site.kind == "sa":
                adapter.site(site)["cfa"].q.up -= base[f"{site.path}.to_q.weight"].float()
    return adapter, tuple(sorted(tensors.keys() - places.values()))


def _modern(name: str) -> str:
    """Older files have no "sCA." before the prompt's parts."""
    for part in (".CA2.", ".CA3.", ".CA_norm."):
        if part in name and ".sCA." not in name:
            return name.replace(part, f".sCA{part}")
    return name


def _key(site: Site) -> str:
    return f"sites.{site.path.replace('.', '/')}"


def _places(site: Site) -> Iterator[tuple[str, str]]:
    """Our parameter name and the official one, for all parameters of a site."""
    key, block = _key(site), site.path.rpartition(".")[0]
    if site.kind == "sa":
        yield f"{key}.cfa.q.up", f"{block}.i2v_adapter.to_q.weight"
        yield f"{key}.cfa.out.up", f"{block}.i2v_adapter.to_out.0.weight"
        yield f"{key}.cfa.bias", f"{block}.i2v_adapter.to_out.0.bias"
        yield f"{key}.gate.weight", f"{block}.i2v_adapter.processor.weight_module.linear.weight"
        yield f"{key}.gate.bias", f"{block}.i2v_adapter.processor.weight_module.linear.bias"
    elif site.kind == "ca":
        yield f"{key}.ca.first", f"{block}.sCA.CA2.weight"
        yield f"{key}.ca.norm_weight", f"{block}.sCA.CA_norm.weight"
        yield f"{key}.ca.norm_bias", f"{block}.sCA.CA_norm.bias"
        yield f"{key}.ca.second", f"{block}.sCA.CA3.weight"
    else:
        place = temporal_place(site)
        for name, lora in _LORA.items():
            yield f"{key}.ta.{name}.down", f"{place}.{lora}.down.weight"
            yield f"{key}.ta.{name}.up", f"{place}.{lora}.up.weight"


def _adapter(backbone: Backbone, state: Mapping[str, Tensor], source: str | os.PathLike[str]) -> MIVAAdapter:
    ca_rank = next(len(tensor) for name, tensor in state.items() if name.endswith(".ca.first"))
    ta_rank = next(len(tensor) for name, tensor in state.items() if name.endswith(".ta.q.down"))
    config = replace(MIVAConfig.official_animatediff(), ca_rank=ca_rank, ta_rank=ta_rank)
    with torch.device("meta"):
        adapter = MIVAAdapter(backbone, config)
    for name, parameter in adapter.named_parameters():
        if state[name].shape != parameter.shape:
            raise MIVAError(
                f"{source} holds {name.removeprefix('sites.').replace('/', '.')} of shape {tuple(state[name].shape)}, "
                f"but {tuple(parameter.shape)} was expected: it was trained on another base than Stable Diffusion 1.5."
            )
    adapter.load_state_dict(state, assign=True)
    return adapter
