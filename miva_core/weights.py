"""Tensors of model files as they are found on disk: safetensors, and PyTorch checkpoints without running their code."""

import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from .errors import MIVAError
from .files import looks_like, require_file
from .sniff import what_is, what_model

_DTYPE_NAMES = {torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2"}


class _Forgotten:
    """Stands for a training-time object in an old checkpoint; its state is dropped."""

    def __setstate__(self, state: Any) -> None:
        pass


# Stable Diffusion's own .ckpt files carry this object of their trainer beside the weights.
_HARMLESS = [(_Forgotten, "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint")]


def open_weights(path: str | os.PathLike[str], kind: str) -> dict[str, Tensor]:
    """All tensors of a model file by name, on the CPU in the dtype of the file, mapped rather than read.

    A "state_dict" inside is unwrapped and a "module." before all names is taken off.

    Args:
        kind: what is wanted, for the message: "SD 1.5 checkpoint".

    Raises:
        MIVAError: no such file, empty, truncated, damaged, no model file, or one that only code could restore.
    """
    path = require_file(path, kind)
    found = what_is(path)
    if found in ("a truncated safetensors file", "a damaged safetensors file"):
        raise MIVAError(f"{path} is {found}: get the {kind} again, and compare its size.")
    if found in ("a text file", "a file of an unknown kind"):
        raise MIVAError(f"{path} is {looks_like(path)}, but a {kind} was expected.")
    try:
        tensors = load_file(path) if _is_safetensors(path) else _read_pickle(path)
    except pickle.UnpicklingError as error:
        raise MIVAError(
            f"{path} holds more than tensors, which would have to be run to be read: get the {kind} as .safetensors."
        ) from error
    except (SafetensorError, RuntimeError, OSError, EOFError, ValueError, LookupError, AttributeError) as error:
        raise MIVAError(
            f"{path} is a damaged or truncated file: get the {kind} again, and compare its size."
        ) from error
    if all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return tensors


def what_weights(tensors: Mapping[str, Tensor]) -> str:
    """A phrase for the model that tensors belong to, see `sniff.what_model`."""
    return what_model(
        {name: tuple(tensor.shape) for name, tensor in tensors.items()},
        {_DTYPE_NAMES.get(tensor.dtype, "") for tensor in tensors.values()},
    )


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def _read_pickle(path: Path) -> dict[str, Tensor]:
    # Files from before PyTorch 1.6 are no zip archives and cannot be mapped.
    with torch.serialization.safe_globals(_HARMLESS):
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    while isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping):
        raise ValueError(f"a {type(content).__name__} instead of named tensors")
    return {name: tensor for name, tensor in content.items() if isinstance(tensor, Tensor)}
