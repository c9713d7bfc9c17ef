"""Research checkpoints of MIVA's authors, as adapters of this package.

Their code trains W_Q as a whole matrix; here it is kept as the difference to the base, so the base it was
trained on has to be at hand, unless the file holds the difference already (PEFT).
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..adapters.adapter import MIVAAdapter
from ..adapters.backbone import Backbone, Site
from ..adapters.config import MIVAConfig
from ..bases.animatediff import loading as animatediff
from ..bases.describe import describe
from ..bases.wan import loading as wan
from ..checks import is_number, printable, shown
from ..errors import MIVAError
from ..storage.weights import check_finite, check_floating, check_moderate, identify_weights, open_weights
from .official_places import (
    Places,
    animatediff_mask_places,
    animatediff_places,
    site_key,
    wan_mask_places,
    wan_peft_mask_places,
    wan_peft_places,
    wan_places,
)

Source = str | os.PathLike[str]

_KIND = "MIVA research checkpoint"


@dataclass(frozen=True)
class Training:
    """What the authors' code trains on, and what of it no file says.

    Args:
        frames: length of its clips.
        size: width and height of its clips in pixels.
        fps: frame rate of its clips.
        assumed: entries for `AdapterInfo.training` on what had to be assumed.
        difference: how a converted motion differs from the original, in sentences; empty if it does not.
    """

    frames: int
    size: tuple[int, int]
    fps: int
    assumed: Mapping[str, str]
    difference: str


@dataclass(frozen=True)
class Converted:
    """A research checkpoint as an adapter.

    Args:
        adapter: it has a mask stream if the file has one.
        unused: names of the file that an adapter has no place for, such as those of a prompt for the background.
        training: what it was trained on.
    """

    adapter: MIVAAdapter
    unused: tuple[str, ...]
    training: Training


@dataclass(frozen=True)
class _Layout:
    """One way the authors' code saves an adapter.

    Args:
        base: name of the base, for messages.
        config: what it builds; ranks are read from the file.
        training: what it trains on.
        meta_model: builds the base without weights.
        read_base: the tensors of a file of the base by the names of diffusers.
        places: our parameter name and theirs, for all parameters of a site but those of a mask stream.
        mask_places: those of a mask stream.
        by_peft: whether W_Q and W_O are LoRAs, still to be scaled.
    """

    base: str
    config: MIVAConfig
    training: Training
    meta_model: Callable[[], nn.Module]
    read_base: Callable[[Source, Any], Mapping[str, Tensor]]
    places: Callable[[Site], Places]
    mask_places: Callable[[Site], Places]
    by_peft: bool = False


def convert_official(official: Source, checkpoint: Source | None = None, alpha: float | None = None) -> Converted:
    """Read a research checkpoint by MIVA's authors as an adapter.

    It is `adapter.pt` of AnimateDiff, also with older names or from several GPUs, or `checkpoint_step_*.ckpt` of Wan,
    plain or by PEFT.

    A converted Wan motion computes something else than their code: that runs cross-frame attention behind
    self-attention on the raw residual, neither normalised nor modulated nor gated; an adapter runs it in parallel to
    self-attention, on the same tokens and inside the gate, as in Eq. 2, so that keys and values are shared. The gate's
    temperature, which no Wan file holds, is taken to be the 0.2 of their AnimateDiff settings.

    Args:
        official: the research checkpoint.
        checkpoint: the Stable Diffusion 1.5 or Wan 2.1 1.3B file it was trained on; after PEFT it is only compared.
        alpha: `lora_alpha` of the training, which PEFT files do not hold; for these alone.

    Raises:
        MIVAError: a file is something else, incomplete, or holds trained parts that an adapter has no place for; or
            `checkpoint` or `alpha` is missing or out of place.
    """
    tensors = _read(official)
    layout = _layout(tensors)
    _check_arguments(layout, official, checkpoint, alpha)
    model = layout.meta_model()
    backbone = describe(model)
    base = layout.read_base(checkpoint, model) if checkpoint is not None else {}

    is_masked = any(_MASK_STREAM.search(name) for name in tensors)
    kinds = (layout.places, layout.mask_places) if is_masked else (layout.places,)
    places = {name: place for site in backbone.sites for kind in kinds for name, place in kind(site)}
    found = _find(tensors, places, official)
    rest = _check_rest(tensors.keys() - places.values(), official)
    with torch.device("meta"):
        adapter = MIVAAdapter(backbone, replace(_config(layout, found, official), mask=is_masked))
    _check_shapes(adapter, found, official, layout.base)
    state = {name: tensor.to(torch.float32, copy=True) for name, tensor in found.items()}
    check_finite(state, str(official))
    if alpha is not None:  # only PEFT has it
        _check_wrapped(tensors, base, official)
        _scale(state, alpha)
    elif checkpoint is not None:
        _subtract_base(state, backbone, base, checkpoint)
    check_moderate(state, str(official))
    adapter.load_state_dict(state, assign=True)
    return Converted(adapter, rest, layout.training)


# --- reading ---------------------------------------------------------------------------------------------------------


def _read(official: Source) -> dict[str, Tensor]:
    tensors = open_weights(official, _KIND)
    if not any(".i2v_adapter." in name for name in tensors):
        raise MIVAError(f"{official} is {identify_weights(tensors)}, but an official {_KIND} was expected.")
    # A wrapper's name may stand in front of Wan's blocks.
    prefix = next((found[1] for name in tensors if (found := _WAN_BLOCK.match(name))), "")
    return {_plain(name.removeprefix(prefix)): tensor for name, tensor in tensors.items()}


_WAN_BLOCK = re.compile(r"((?:.*\.)?)blocks\.\d+\.i2v_adapter\.")


def _plain(name: str) -> str:
    """Older files have no "sCA." before the prompt's parts; PEFT adds the name of its adapter."""
    for part in (".CA2.", ".CA3.", ".CA_norm."):
        if part in name and ".sCA." not in name and not name.startswith("blocks."):
            return name.replace(part, f".sCA{part}")
    return name.replace(".default.", ".")


def _layout(tensors: Mapping[str, Tensor]) -> _Layout:
    if not any(_WAN_BLOCK.match(name) for name in tensors):
        return _ANIMATEDIFF
    return _WAN_PEFT if any(".i2v_adapter.q.lora_A." in name for name in tensors) else _WAN


def _check_arguments(layout: _Layout, official: Source, checkpoint: Source | None, alpha: float | None) -> None:
    if layout.by_peft and alpha is None:
        raise MIVAError(f"{official} was trained by PEFT, which does not store alpha: give the training's lora_alpha.")
    if layout.by_peft and alpha is not None and not (is_number(alpha) and alpha > 0):
        raise MIVAError(f"alpha is {alpha!r}, but it must be a positive number: the lora_alpha of the training.")
    if not layout.by_peft and alpha is not None:
        raise MIVAError(f"{official} was not trained by PEFT, so it has no alpha: leave it out.")
    if not layout.by_peft and checkpoint is None:
        raise MIVAError(
            f"{official} holds whole matrices: name the {layout.base} file it was trained on as the checkpoint."
        )


def _find(tensors: Mapping[str, Tensor], places: Mapping[str, str], official: Source) -> dict[str, Tensor]:
    """The file's tensors by our names, not copied: their shapes are still to be checked."""
    for place in places.values():
        if place not in tensors:
            raise MIVAError(f"{official} lacks {place}: it is incomplete, or of another version of the authors' code.")
        check_floating(place, tensors[place], official)
        if tensors[place].ndim == 0 or tensors[place].numel() == 0:
            raise MIVAError(f"{official} holds {place} without values: it is damaged.")
    return {name: tensors[place] for name, place in places.items()}


_MASK_STREAM = re.compile(r"\.i2v_adapter\.(processor\.to_(q|out)_mask|[qo]_m)\.")
_BACKGROUND = re.compile(r"\bcross_attn_b\.|\bsCA_b\.")
_FROZEN = re.compile(r"\.i2v_adapter\.(to_)?[kv]\.(weight|bias)$|\.CA[14]\.|\.base_layer\.")
_TRAINED = re.compile(r"\.i2v_adapter\.|\.CA|lora|\.cross_attn_|\.sCA")


def _check_rest(names: set[str], official: Source) -> tuple[str, ...]:
    """The names without a place, but for known copies of the base; what was trained must not get lost."""
    rest = sorted(name for name in names if not _FROZEN.search(name))
    for name in rest:
        if _TRAINED.search(name) and not _BACKGROUND.search(name):
            raise MIVAError(
                f"{official} holds {printable(name)}, which an adapter has no place for: it would not be the same."
            )
    return tuple(rest)


def _config(layout: _Layout, state: Mapping[str, Tensor], official: Source) -> MIVAConfig:
    endings = {"cfa_rank": ".cfa.q.down", "ca_rank": ".ca.first", "ta_rank": ".ta.q.down"}
    found = {
        field: next((len(tensor) for name, tensor in state.items() if name.endswith(ending)), None)
        for field, ending in endings.items()
    }
    try:
        ranks: dict[str, Any] = {field: rank for field, rank in found.items() if rank is not None}
        return replace(layout.config, **ranks)
    except MIVAError as error:
        raise MIVAError(f"{official} is no {_KIND} that can be used: {error}") from error


def _check_shapes(adapter: MIVAAdapter, state: Mapping[str, Tensor], official: Source, base: str) -> None:
    for name, parameter in adapter.named_parameters():
        if state[name].shape != parameter.shape:
            raise MIVAError(
                f"{official} holds {name.removeprefix('sites.').replace('/', '.')} of shape "
                f"{shown(tuple(state[name].shape))}, but {tuple(parameter.shape)} was expected: it was trained on "
                f"another base than {base}, or its ranks differ from place to place."
            )


# --- from their matrices to ours -------------------------------------------------------------------------------------


_QUERY = ("q.up", "weight"), ("q_bias", "bias")


def _subtract_base(
    state: dict[str, Tensor], backbone: Backbone, base: Mapping[str, Tensor], checkpoint: Source
) -> None:
    for site in backbone.sites:
        for name, part in ((f"{cfa}.{q}", part) for cfa in ("cfa", "cfa_mask") for q, part in _QUERY):
            if (ours := f"{site_key(site)}.{name}") in state:
                place = f"{site.id}.to_q.{part}"
                if place not in base or base[place].shape != state[ours].shape:
                    raise MIVAError(f"{checkpoint} lacks {place}, or has it in another shape: it is damaged.")
                check_floating(place, base[place], checkpoint)
                check_finite({place: base[place]}, str(checkpoint))
                state[ours] -= base[place].float()


def _scale(state: dict[str, Tensor], alpha: float) -> None:
    for name, tensor in state.items():
        if re.search(r"\.cfa(_mask)?\.(q|out)\.up$", name):
            tensor *= alpha / tensor.shape[1]


def _check_wrapped(tensors: Mapping[str, Tensor], base: Mapping[str, Tensor], official: Source) -> None:
    """What PEFT wraps must be as the training starts: W_O zero, W_Q the base's. Files may or may not hold it."""
    for name, tensor in tensors.items():
        if re.search(r"\.i2v_adapter\.o(_m)?\.base_layer\.", name) and tensor.any():
            raise MIVAError(f"{official} holds {printable(name)}, which is not zero: an adapter has no place for it.")
        wrapped = re.fullmatch(r"(.*)\.i2v_adapter\.q(?:_m)?\.base_layer\.(\w+)", name)
        if not wrapped:
            continue
        block, part = wrapped.groups()
        if not base:
            raise MIVAError(
                f"{official} holds {printable(name)}: name the Wan 2.1 1.3B file to compare it with as the checkpoint."
            )
        expected = base.get(f"{block}.attn1.to_q.{part}")
        # Equal in the coarser of their two dtypes.
        if expected is None or not (
            torch.equal(tensor.to(expected.dtype), expected) or torch.equal(tensor, expected.to(tensor.dtype))
        ):
            raise MIVAError(
                f"{official} holds {printable(name)}, which differs from the checkpoint's: name the one it started "
                "from."
            )


# --- layouts ---------------------------------------------------------------------------------------------------------

_ANIMATEDIFF = _Layout(
    "Stable Diffusion 1.5",
    MIVAConfig.official_animatediff(),
    Training(frames=16, size=(512, 320), fps=8, assumed={}, difference=""),
    animatediff.meta_unet,
    lambda checkpoint, unet: animatediff.read_unet(checkpoint, unet.config),
    animatediff_places,
    animatediff_mask_places,
)
_WAN = _Layout(
    "Wan 2.1 1.3B",
    MIVAConfig.official_wan(),
    Training(
        frames=17,
        size=(832, 480),
        fps=8,
        assumed={"gate temperature": "assumed"},
        difference="It will move otherwise than in the authors' code, which runs its attention on the raw residual: "
        "here it stands beside self-attention, inside the gate, with a gate temperature of 0.2, which no Wan file "
        "tells.",
    ),
    wan.meta_transformer,
    lambda checkpoint, _: wan.read_transformer(checkpoint),
    wan_places,
    wan_mask_places,
)
_WAN_PEFT = replace(
    _WAN,
    # PEFT leaves biases as they start: that of W_Q as the base's, that of W_O at zero.
    config=replace(MIVAConfig.official_wan(), cfa_q_bias=False, cfa_out_bias=False),
    places=wan_peft_places,
    mask_places=wan_peft_mask_places,
    by_peft=True,
)
