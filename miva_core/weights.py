"""Tensors of model files: read from safetensors and from PyTorch checkpoints, whose code is not run; and written."""

import os
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from .checks import printable
from .errors import MIVAError
from .files import looks_like, replacing, require_file
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

    A "state_dict" or "model" inside is unwrapped and a "module." before all names is taken off.

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
        tensors = load_file(path) if _is_safetensors(path) else _read_pickle(path, kind)
    except MIVAError:
        raise
    except pickle.UnpicklingError as error:
        raise MIVAError(
            f"{path} holds more than tensors, which would have to be run to be read: get the {kind} as .safetensors."
        ) from error
    except (SafetensorError, RuntimeError, OSError, EOFError, ValueError, LookupError, AttributeError) as error:
        raise MIVAError(
            f"{path} is a damaged or truncated file: get the {kind} again, and compare its size."
        ) from error
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
            raise MIVAError(f"{path} holds {printable(name)} sparse, quantised or without values: get another {kind}.")
    if all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return tensors


def save_weights(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str], owner: str, new: bool = False
) -> None:
    """Write a .safetensors file, whole or not at all.

    Args:
        owner: what the tensors are, for messages: "The adapter".
        new: never replace a file, see `replacing`.

    Raises:
        FileTakenError: there is such a file, and `new` is set.
        MIVAError: a value is not finite, or the file cannot be written.
    """
    check_finite(tensors, owner)
    try:
        with replacing(path, new) as temporary:
            save_file(tensors, temporary, metadata)
    except SafetensorError as error:
        raise MIVAError(f"{path} could not be written ({error}).") from error


def check_finite(tensors: Mapping[str, Tensor], owner: str) -> None:
    """Check that all values are numbers.

    Raises:
        MIVAError: one is not; the message names the tensor.
    """
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise MIVAError(f"{owner} holds NaN or infinite values in {printable(name)}; it was not trained properly.")


def check_floating(name: str, tensor: Tensor, source: str | os.PathLike[str]) -> None:
    """Check that a tensor holds real weights.

    Raises:
        MIVAError: it holds integers, truth values or complex numbers, as quantised files do.
    """
    if not tensor.is_floating_point():
        dtype = str(tensor.dtype).removeprefix("torch.")
        raise MIVAError(f"{source} holds {printable(name)} as {dtype}, not as floating-point weights: get it as those.")


def what_weights(tensors: Mapping[str, Tensor]) -> str:
    """A phrase for the model that tensors belong to, see `sniff.what_model`."""
    return what_model(
        {name: tuple(tensor.shape) for name, tensor in tensors.items()},
        {_DTYPE_NAMES.get(tensor.dtype, "") for tensor in tensors.values()},
    )


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def _read_pickle(path: Path, kind: str) -> dict[str, Tensor]:
    # What torch warns of in old or strange files is told by our own messages.
    with torch.serialization.safe_globals(_HARMLESS), warnings.catch_warnings(action="ignore"):
        # Files from before PyTorch 1.6 are no zip archives and cannot be mapped.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    # Some trainers wrap the tensors once, some twice.
    for wrapper in ("state_dict", "state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping):
        raise MIVAError(f"{path} holds a {type(content).__name__}, but a {kind} holds named tensors.")
    return {n: tensor for n, tensor in content.items() if isinstance(n, str) and isinstance(tensor, Tensor)}
