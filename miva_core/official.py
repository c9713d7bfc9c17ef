"""Research checkpoints of MIVA's authors, as adapters of this package.

Their code trains W_Q as a whole matrix of its own; here it is kept as the difference to the base, so the base it was
trained on has to be at hand, unless the file holds the difference already (PEFT).
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from . import animatediff, wan
from .adapter import MIVAAdapter
from .backbones import Backbone, Site, describe
from .checks import is_number
from .config import MIVAConfig
from .errors import MIVAError
from .motion_lora import temporal_place
from .weights import open_weights, what_weights

_LORA = {"q": "to_q_lora", "k": "to_k_lora", "v": "to_v_lora", "out": "to_out_lora"}
_KIND = "MIVA research checkpoint"


def convert_official(
    official: str | os.PathLike[str],
    checkpoint: str | os.PathLike[str] | None = None,
    alpha: float | None = None,
    configs: Path | None = None,
) -> tuple[MIVAAdapter, tuple[str, ...]]:
    """Read what the authors' code saves: `adapter.pt` of AnimateDiff (also with older names, or from several GPUs) or
    `checkpoint_step_*.ckpt` of Wan, plain or by PEFT.

    Their Wan code adds cross-frame attention behind self-attention, to the residual and past the gate; an adapter has
    it inside the gate, where Eq. 2 puts it, so that it can share keys and values. A motion may come out differently.

    Args:
        checkpoint: the Stable Diffusion 1.5 or Wan 2.1 1.3B file it was trained on; not needed for PEFT files.
        alpha: `lora_alpha` of the training, which PEFT files do not hold; for these alone.
        configs: folder with the config of the base, default the package's own.

    Returns:
        The adapter, and the names in the file that it has no place for, such as those of a mask stream.

    Raises:
        MIVAError: a file is something else or incomplete, or `checkpoint` or `alpha` is missing or out of place.
    """
    file = open_weights(official, _KIND)
    # PEFT may keep the frozen matrices that it wraps.
    tensors = {_plain(name): tensor for name, tensor in file.items() if ".base_layer." not in name}
    if not any(".i2v_adapter." in name for name in tensors):
        raise MIVAError(f"{official} is {what_weights(file)}, but an official {_KIND} was expected.")
    is_wan = any(name.startswith("blocks.") for name in tensors)
    by_peft = any(".lora_A." in name for name in tensors)
    scale = _peft_scale(tensors, official, alpha) if by_peft else _refuse_alpha(official, alpha)
    if not by_peft and checkpoint is None:
        raise MIVAError(
            f"{official} holds whole matrices: name the {_base_name(is_wan)} file it was trained on as the checkpoint."
        )

    configs = configs or (wan if is_wan else animatediff).CONFIGS
    model = wan.meta_transformer(configs) if is_wan else animatediff.meta_unet(configs)
    backbone = describe(model)
    table = _wan_places if is_wan else _animatediff_places
    places = {name: place for site in backbone.sites for name, place in table(site, by_peft)}
    for place in places.values():
        if place not in tensors:
            raise MIVAError(f"{official} lacks {place}: it is incomplete, or of another version of the authors' code.")
    state = {name: tensors[place].to(torch.float32, copy=True) for name, place in places.items()}
    if by_peft:
        for name in state:
            if ".cfa." in name and name.endswith(".up"):
                state[name] *= scale
    else:
        base = wan.read_transformer(checkpoint) if is_wan else animatediff.read_unet(checkpoint, model.config)
        _subtract_base(state, backbone, base)
    with torch.device("meta"):
        adapter = MIVAAdapter(backbone, _config(state, is_wan, by_peft))
    _check_shapes(adapter, state, f"{official}", _base_name(is_wan))
    adapter.load_state_dict(state, assign=True)
    return adapter, tuple(sorted(tensors.keys() - places.values()))


def _base_name(is_wan: bool) -> str:
    return "Wan 2.1 1.3B" if is_wan else "Stable Diffusion 1.5"


def _plain(name: str) -> str:
    """Older files have no "sCA." before the prompt's parts; PEFT adds the name of its adapter."""
    for part in (".CA2.", ".CA3.", ".CA_norm."):
        if part in name and ".sCA." not in name and not name.startswith("blocks."):
            return name.replace(part, f".sCA{part}")
    return name.replace(".default.", ".")


def _peft_scale(tensors: Mapping[str, Tensor], official: str | os.PathLike[str], alpha: float | None) -> float:
    if alpha is None:
        raise MIVAError(f"{official} was trained by PEFT, which does not store alpha: give the training's lora_alpha.")
    if not is_number(alpha) or alpha <= 0:
        raise MIVAError(f"alpha is {alpha!r}, but it must be a positive number: the lora_alpha of the training.")
    rank = next(len(tensor) for name, tensor in tensors.items() if ".lora_A." in name)
    return alpha / rank


def _refuse_alpha(official: str | os.PathLike[str], alpha: float | None) -> float:
    if alpha is not None:
        raise MIVAError(f"{official} was not trained by PEFT, so it has no alpha: leave it out.")
    return 1.0


def _key(site: Site) -> str:
    return f"sites.{site.path.replace('.', '/')}"


def _animatediff_places(site: Site, by_peft: bool) -> Iterator[tuple[str, str]]:
    """Our parameter name and the official one, for all parameters of a site."""
    key, block = _key(site), site.path.rpartition(".")[0]
    if site.kind == "sa":
        yield f"{key}.cfa.q.up", f"{block}.i2v_adapter.to_q.weight"
        yield f"{key}.cfa.out.up", f"{block}.i2v_adapter.to_out.0.weight"
        yield f"{key}.cfa.bias", f"{block}.i2v_adapter.to_out.0.bias"
        yield f"{key}.gate.weight", f"{block}.i2v_adapter.processor.weight_module.linear.weight"
        yield f"{key}.gate.bias", f"{block}.i2v_adapter.processor.weight_module.linear.bias"
    elif site.kind == "ca":
        yield from _prompt_places(key, f"{block}.sCA")
    else:
        place = temporal_place(site)
        for name, lora in _LORA.items():
            yield f"{key}.ta.{name}.down", f"{place}.{lora}.down.weight"
            yield f"{key}.ta.{name}.up", f"{place}.{lora}.up.weight"


def _wan_places(site: Site, by_peft: bool) -> Iterator[tuple[str, str]]:
    key, block = _key(site), site.path.rpartition(".")[0]
    if site.kind == "ca":
        yield from _prompt_places(key, f"{block}.cross_attn")
        return
    for name, linear in (("q", "q"), ("out", "o")):
        place = f"{block}.i2v_adapter.{linear}"
        if by_peft:
            yield f"{key}.cfa.{name}.down", f"{place}.lora_A.weight"
            yield f"{key}.cfa.{name}.up", f"{place}.lora_B.weight"
        else:
            yield f"{key}.cfa.{name}.up", f"{place}.weight"
            yield f"{key}.cfa.{'q_bias' if name == 'q' else 'bias'}", f"{place}.bias"
    yield f"{key}.gate.weight", f"{block}.i2v_adapter.weight_module.linear.weight"
    yield f"{key}.gate.bias", f"{block}.i2v_adapter.weight_module.linear.bias"


def _prompt_places(key: str, place: str) -> Iterator[tuple[str, str]]:
    yield f"{key}.ca.first", f"{place}.CA2.weight"
    yield f"{key}.ca.norm_weight", f"{place}.CA_norm.weight"
    yield f"{key}.ca.norm_bias", f"{place}.CA_norm.bias"
    yield f"{key}.ca.second", f"{place}.CA3.weight"


def _subtract_base(state: dict[str, Tensor], backbone: Backbone, base: Mapping[str, Tensor]) -> None:
    for site in backbone.sites:
        for name, part in (("q.up", "weight"), ("q_bias", "bias")):
            if (place := f"{_key(site)}.cfa.{name}") in state:
                tensor = base[f"{site.path}.to_q.{part}"]
                if tensor.shape == state[place].shape:  # another shape is told of with the adapter's
                    state[place] -= tensor.float()


def _config(state: Mapping[str, Tensor], is_wan: bool, by_peft: bool) -> MIVAConfig:
    def rank(ending: str) -> int:
        return next(len(tensor) for name, tensor in state.items() if name.endswith(ending))

    if not is_wan:
        return replace(MIVAConfig.official_animatediff(), ca_rank=rank(".ca.first"), ta_rank=rank(".ta.q.down"))
    config = replace(MIVAConfig.official_wan(), ca_rank=rank(".ca.first"))
    if by_peft:
        # PEFT leaves biases as they start: that of W_Q as the base's, that of W_O at zero.
        config = replace(config, cfa_rank=rank(".cfa.q.down"), cfa_q_bias=False, cfa_out_bias=False)
    return config


def _check_shapes(adapter: MIVAAdapter, state: Mapping[str, Tensor], source: str, base: str) -> None:
    for name, parameter in adapter.named_parameters():
        if state[name].shape != parameter.shape:
            raise MIVAError(
                f"{source} holds {name.removeprefix('sites.').replace('/', '.')} of shape {tuple(state[name].shape)}, "
                f"but {tuple(parameter.shape)} was expected: it was trained on another base than {base}."
            )
