"""Bases from local files. Nothing is ever downloaded."""

from __future__ import annotations

import os

import torch

from ..errors import MIVAError
from .base import Base
from .registry import find_base
from .spec import BaseSpec


def load_base(
    name: str,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    **files: str | os.PathLike[str] | None,
) -> Base:
    """Load a base, frozen and in eval mode.

    Args:
        name: one of `registry.BASES`, such as "miramo" or "tiny", the small models that are part of this package.
        device: where its networks are to be.
        dtype: of the model's weights; by default the base's `half_precision` on a graphics card and float32 elsewhere.
            The built-in bases are always float32.
        **files: paths by the base's `BaseFile.argument`, such as `checkpoint`; None counts as left out.

    Raises:
        MIVAError: an unknown name, or a file is missing, unexpected, damaged or of another kind.

    Example:
        >>> base = load_base("tiny")
        >>> base = load_base("wan", device="cuda", checkpoint="wan2.1.safetensors", vae="wan_vae.safetensors")
    """
    spec = find_base(name)
    named = {argument: path for argument, path in files.items() if path is not None}
    _check_files(spec, named)
    if dtype is None:
        half = spec.half_precision if torch.device(device).type == "cuda" else None
        dtype = getattr(torch, half or "float32")
    return spec.load(device=device, dtype=dtype, **named)


def _check_files(spec: BaseSpec, named: dict[str, str | os.PathLike[str]]) -> None:
    required = [file.argument for file in spec.files if not file.without]
    for argument in required:
        if argument not in named:
            needed = " and ".join(f"a {one.replace('_', ' ')}" for one in required)
            raise MIVAError(f"The base {spec.name} needs {needed}: name the {argument.replace('_', ' ')}, too.")
    for argument in named:
        if argument not in [file.argument for file in spec.files]:
            raise MIVAError(f"The base {spec.name} takes no {argument}: leave it out.")
