"""Encoded clips kept in a folder, so that a training that was stopped need not encode them again."""

import hashlib
import re
import shutil
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..bases.base import Base
from ..errors import MIVAError, MIVAWarning
from ..storage.files import replacing
from .latent_clips import LatentClip

_FORMAT = 1
"""Of what is kept, to be raised with every change that encodes the same clip to something else."""
_CONTENT = "miva_encoding"
"""The entry of a file's header that holds the digest of its tensors and its name."""
_ENCODING = re.compile(r"[0-9a-f]{24}\.safetensors")
"""Names of files, other than temporary ones."""


class KeptEncodings:
    """A file for each clip, named by a digest of all that its encoding follows from.

    Args:
        folder: where they are kept; it is made when the first one is.
        base: that encodes.
        writes: whether new ones are kept, or only those found that are there.
    """

    def __init__(self, folder: Path, base: Base, writes: bool) -> None:
        self._folder, self._writes = folder, writes
        self._base = _digest([*base.networks[1].state_dict().values()], base.name, base.frames, base.stride, base.size)
        self._used: set[Path] = set()

    def read(self, key: str) -> list[LatentClip] | None:
        """Read the versions of a clip; None if they are not kept, or damaged."""
        try:
            with safe_open(self._path(key), framework="pt") as file:
                content = (file.metadata() or {}).get(_CONTENT)
                # Copied, since what is mapped into memory cannot be removed on Windows.
                tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError):
            return None
        if content != _digest_of(tensors, key):
            return None
        count = sum(name.endswith(".mean") for name in tensors)
        return [_clip(tensors, f"{k}.") for k in range(count)]

    def write(self, key: str, windows: Sequence[LatentClip]) -> None:
        """Keep the versions of a clip. Where that fails there is one warning, and nothing is kept any more.

        Args:
            key: of the clip, from `key`.
            windows: the versions.
        """
        if not self._writes:
            return
        tensors = {
            # Windows of one clip share memory, which a file may not.
            f"{k}.{part.name}": getattr(window, part.name).clone(memory_format=torch.contiguous_format)
            for k, window in enumerate(windows)
            for part in fields(window)
            if getattr(window, part.name) is not None
        }
        try:
            self._folder.mkdir(exist_ok=True)
            with replacing(self._path(key)) as temporary:
                save_file(tensors, temporary, {_CONTENT: _digest_of(tensors, key)})
        except (OSError, MIVAError, SafetensorError) as error:
            self._writes = False
            warnings.warn(
                MIVAWarning(f"Encoded clips are not kept, and are encoded again if this is stopped: {error}"),
                stacklevel=2,
            )

    def key(self, tensors: Iterable[Tensor], *options: object) -> str:
        """What an encoding follows from, in one word.

        Args:
            tensors: of the clip, and what else is drawn for it.
            options: of the encoding, the base apart.
        """
        return _digest([*tensors], _FORMAT, self._base, *options)

    def remove_others(self) -> None:
        """Remove what was neither read nor written: encodings of other clips, or by other options."""
        if self._writes and self._folder.is_dir():
            for path in set(self._folder.iterdir()) - self._used:
                with suppress(OSError):
                    path.unlink()

    def _path(self, key: str) -> Path:
        path = self._folder / f"{key}.safetensors"
        self._used.add(path)
        return path


def count_encodings(folder: Path) -> int:
    """How many clips are kept."""
    return sum(_ENCODING.fullmatch(path.name) is not None for path in folder.glob("*.safetensors"))


def remove_encodings(folder: Path) -> None:
    """Remove all, when a training is done."""
    shutil.rmtree(folder, ignore_errors=True)


def _clip(tensors: Mapping[str, Tensor], beginning: str) -> LatentClip:
    parts: dict[str, Any] = {part.name: tensors.get(beginning + part.name) for part in fields(LatentClip)}
    return LatentClip(**parts)


def _digest_of(tensors: Mapping[str, Tensor], key: str) -> str:
    return _digest([tensors[name] for name in sorted(tensors)], sorted(tensors), key)


def _digest(tensors: Iterable[Tensor], *options: object) -> str:
    digest = hashlib.sha256(repr(options).encode())
    for tensor in tensors:
        digest.update(repr((tuple(tensor.shape), tensor.dtype)).encode())
        # NumPy knows no bfloat16.
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:24]
