"""The weights that a training of MiraMo starts from, made of SANA's."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ..bases.miramo.sana import read_sana
from ..bases.miramo.transformer import MIRAMO, SANA_600M, MiraMoTransformer
from ..storage.files import whole_folder
from ..storage.meta_device import on_meta
from ..storage.weights import save_weights

Latents = Literal["sd", "sana"]
Gate = Literal["closed", "copied"]

CONFIGS: Mapping[Latents, Mapping[str, Any]] = {"sd": MIRAMO, "sana": SANA_600M}
"""Of MiraMo, by the latents that it denoises: those of its code, and those of its paper."""
_SEED = 0
"""Of what is new, so that the same file makes the same weights."""


def convert_sana(path: str | os.PathLike[str], folder: Path, latents: Latents = "sd", gate: Gate = "closed") -> None:
    """Write MiraMo's start weights into a folder that `MiraMoTransformer.from_pretrained` reads.

    Args:
        path: SANA 600M, as its authors or diffusers save it.
        folder: the new one.
        latents: what MiraMo is to denoise: "sd" are 4 channels at an eighth of the size, "sana" those of SANA.
        gate: see `start_weights`.

    Raises:
        MIVAError: the file is another one, damaged or incomplete; or the folder cannot be written.
    """
    sana, config = read_sana(path), CONFIGS[latents]
    model = on_meta(lambda: MiraMoTransformer(**config))
    with whole_folder(folder) as filled:
        model.save_config(filled)
        weights = start_weights(sana, config, gate)
        save_weights(filled / "diffusion_pytorch_model.safetensors", weights, {"format": "pt"}, str(path))


def start_weights(sana: Mapping[str, Tensor], config: Mapping[str, Any], gate: Gate = "closed") -> dict[str, Tensor]:
    """MiraMo's weights before its training: SANA's, whose attention over space is copied for that over time.

    What SANA has not, or in another shape, is new: the layers in and out where latents differ, the degree's part, and
    the shift and scale of attention over time.

    Args:
        sana: tensors of a SANA by the names of diffusers.
        config: of the MiraMo.
        gate: of attention over time: "closed" at 0, so that the model answers what SANA does of each frame, or
            "copied" from that of space, as MiraMo's authors do it.

    Returns:
        All tensors of `MiraMoTransformer`, of the dtypes of `sana`, sharing no memory.

    Source: MiraMo's released code.
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(_SEED)
        new = _new_weights(config, sana["scale_shift_table"].dtype)
    return {name: _start_weight(name, fresh, sana, gate) for name, fresh in new.items()}


def _new_weights(config: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Tensor]:
    """All tensors by name, those that a block shares with SANA without values."""
    ends = MiraMoTransformer(**{**config, "num_layers": 0}).state_dict()
    whole = on_meta(lambda: MiraMoTransformer(**config)).state_dict()
    tables = {name: _new_table(tensor) for name, tensor in whole.items() if name.endswith("table_attn3d")}
    return {name: tensor.to(dtype) for name, tensor in {**whole, **ends, **tables}.items()}


def _new_table(like: Tensor) -> Tensor:
    return torch.randn(like.shape) / like.shape[1] ** 0.5


def _start_weight(name: str, new: Tensor, sana: Mapping[str, Tensor], gate: Gate) -> Tensor:
    if name.startswith("time_embed.linear."):
        return _widened(sana[name], gate)
    if name.endswith("scale_shift_table_attn3d"):
        return new if gate == "copied" else torch.cat([new[:2], torch.zeros_like(new[2:])])
    source = sana.get(name.replace(".attn3d.", ".attn1."))
    if source is None or source.shape != new.shape:
        return new
    return source.clone(memory_format=torch.contiguous_format)


def _widened(values: Tensor, gate: Gate) -> Tensor:
    """SANA's six modulations (6 d, …), and behind them those of time: of space, with or without its gate."""
    shift, scale, of_space, *_ = values.chunk(6)
    return torch.cat([values, shift, scale, of_space if gate == "copied" else torch.zeros_like(of_space)])
