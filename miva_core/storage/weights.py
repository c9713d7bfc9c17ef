"""Read tensors from safetensors files and PyTorch checkpoints, without running their code, and write them."""

import os
import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..checks import LARGEST_VALUE, printable, shown
from ..errors import MIVAError
from .files import looks_like, replacing, require_file
from .identify import BROKEN_SAFETENSORS, header_length, identify_file, identify_model

_HARMLESS_GROWTH = 2**24
"""Bytes by which an archive may grow when it is unpacked: TorchScript, which is refused later, compresses its code."""
_LARGEST_SHARING = 8
"""Largest ratio of the size of all tensors to that of the file. Some may have several names, as the head that six
decoder layers of Grounding DINO share, but not all of them many."""
_DTYPE_NAMES = {torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2"}


class _Forgotten:
    """Stands for an object of a training in an old checkpoint; its state is dropped."""

    def __setstate__(self, state: Any) -> None:
        pass


# The original .ckpt files of Stable Diffusion hold this object of their trainer next to the weights.
_HARMLESS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_Forgotten, "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint")
]


def open_weights(path: str | os.PathLike[str], kind: str) -> dict[str, Tensor]:
    """Open the tensors of a model file by name, on the CPU in the dtype of the file, memory-mapped where possible.

    A "state_dict" or "model" inside is unwrapped, and a "module." in front of all names is removed.

    Args:
        path: a .safetensors file or a PyTorch checkpoint.
        kind: what it should be, for the message: "SD 1.5 checkpoint".

    Raises:
        MIVAError: no such file, empty, truncated, damaged, no model file, or one that only code could restore.
    """
    path = require_file(Path(path), kind)
    found = identify_file(path)
    if found in BROKEN_SAFETENSORS:
        raise MIVAError(f"{path} is {found}: get the {kind} again, and compare its size.")
    if found in ("a text file", "a file of an unknown kind"):
        raise MIVAError(f"{path} is {looks_like(path)}, but a {kind} was expected.")
    try:
        tensors = _read_pickle(path, kind) if header_length(path) is None else load_file(path)
    except MIVAError:
        raise
    except pickle.UnpicklingError as error:
        raise MIVAError(
            f"{path} holds more than tensors, which would have to be run to be read: get the {kind} as .safetensors."
        ) from error
    except Exception as error:  # damaged files raise a dozen kinds of exception, assertions and struct.error among them
        raise MIVAError(
            f"{path} is a damaged or truncated file: get the {kind} again, and compare its size."
        ) from error
    _check_values(tensors, path, kind)
    if all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return tensors


def save_weights(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str], owner: str, new: bool = False
) -> None:
    """Write a .safetensors file, complete or not at all.

    Args:
        path: the file.
        tensors: by name.
        metadata: texts for the header.
        owner: what the tensors are, for messages: "The adapter".
        new: whether to refuse to replace a file, see `replacing`.

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
    """Check that all values are finite.

    Args:
        tensors: by name.
        owner: what they are, for the message: "The adapter".

    Raises:
        MIVAError: one is NaN or infinite; the message names its tensor.
    """
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise MIVAError(f"{owner} holds NaN or infinite values in {printable(name)}; it was not trained properly.")


def check_moderate(tensors: Mapping[str, Tensor], owner: str) -> None:
    """Check that the values of an adapter are finite and at most `LARGEST_VALUE`, so that a model can run with them.

    Args:
        tensors: by name.
        owner: what they are, for the message: "The adapter".

    Raises:
        MIVAError: one is not; the message names its tensor.
    """
    check_finite(tensors, owner)
    for name, tensor in tensors.items():
        largest = tensor.abs().amax().item() if tensor.numel() else 0.0
        if largest > LARGEST_VALUE:
            raise MIVAError(
                f"{owner} holds values up to {largest:.2g} in {printable(name)}, far too large for a motion: it is "
                "damaged, or was not trained properly."
            )


def check_floating(name: str, tensor: Tensor, source: str | os.PathLike[str]) -> None:
    """Check that a tensor holds floating-point numbers.

    Args:
        name: of the tensor.
        tensor: of any type.
        source: the file it comes from, for the message.

    Raises:
        MIVAError: it holds integers, booleans or complex numbers, as quantised files do.
    """
    if not tensor.is_floating_point():
        dtype = str(tensor.dtype).removeprefix("torch.")
        raise MIVAError(f"{source} holds {printable(name)} as {dtype}, not as floating-point weights: get it as those.")


def identify_weights(tensors: Mapping[str, Tensor]) -> str:
    """Describe the model that tensors belong to, see `identify_model`."""
    return identify_model(
        {name: tuple(tensor.shape) for name, tensor in tensors.items()},
        {_DTYPE_NAMES.get(tensor.dtype, "") for tensor in tensors.values()},
    )


def _check_values(tensors: Mapping[str, Tensor], path: Path, kind: str) -> None:
    """Check that tensors are plain and hold the values that they claim: strides of 0 make terabytes of one number."""
    claimed = 0
    for name, tensor in tensors.items():
        plain = type(tensor) in (Tensor, nn.Parameter) and not tensor.is_nested and tensor.layout == torch.strided
        if not plain or tensor.is_quantized or tensor.is_meta:
            raise MIVAError(
                f"{path} holds {printable(name)} sparse, quantised, nested or without values: get another {kind}."
            )
        size = tensor.numel() * tensor.element_size()
        if size > tensor.untyped_storage().nbytes():
            raise MIVAError(
                f"{path} holds fewer values of {printable(name)} than its shape {shown(tuple(tensor.shape))} asks for: "
                f"get the {kind} again."
            )
        claimed += size
    if claimed > _LARGEST_SHARING * path.stat().st_size:
        raise MIVAError(f"{path} claims {claimed:,} bytes of tensors, far more than it holds: get the {kind} again.")


def _read_pickle(path: Path, kind: str) -> dict[str, Tensor]:
    _check_archive(path, kind)
    # Our own messages replace torch's warnings about old or strange files.
    with torch.serialization.safe_globals(_HARMLESS), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Files from before PyTorch 1.6 are no zip archives and cannot be mapped.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    # Some trainers wrap the tensors once, some twice.
    for wrapper in ("state_dict", "state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping):
        raise MIVAError(f"{path} holds no named tensors, as a {kind} does: get another file.")
    return {n: tensor for n, tensor in content.items() if isinstance(n, str) and isinstance(tensor, Tensor)}


def _check_archive(path: Path, kind: str) -> None:
    """Refuse compressed archives: PyTorch compresses no tensors, and compressed ones could grow a thousandfold."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        if sum(part.file_size for part in archive.infolist()) > path.stat().st_size + _HARMLESS_GROWTH:
            raise MIVAError(f"{path} is a compressed archive, not a {kind} as PyTorch saves it: get it again.")
