"""What travels along the wires between nodes of this pack; everything else is a type of ComfyUI's own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..miva_core.errors import MIVAError
from . import comfy_bridge

if TYPE_CHECKING:
    from ..miva_core.adapter import MIVAAdapter
    from ..miva_core.base import Base
    from ..miva_core.clip_files import TrainingClip
    from ..miva_core.info import AdapterInfo

ModelSocket = io.Custom("MIVA_MODEL")
StackSocket = io.Custom("MIVA_STACK")
DatasetSocket = io.Custom("MIVA_DATASET")


@dataclass(frozen=True)
class StackedMiva:
    """One adapter file as it is to act: nothing of it but the header is read yet.

    Attributes:
        path: the file. stamp: its time of change in nanoseconds and its size, which tell it from a later one.
        info: its header.
        weight: how strongly it acts.
        span: shares of the run's steps in which it acts, see `Injection.set_spans`.
        mask: (H, W) in [0, 1], where its subject is in the picture; for masked adapters alone.
    """

    path: Path
    stamp: tuple[int, int]
    info: "AdapterInfo"
    weight: float = 1.0
    span: tuple[float, float] = (0.0, 1.0)
    mask: Tensor | None = field(default=None, compare=False)


MivaStack = tuple[StackedMiva, ...]
"""MIVA_STACK: in the order of depth, the last one on top."""


def stamp_of(path: Path) -> tuple[int, int]:
    """What tells a file from the one that stood there before.

    Raises:
        MIVAError: it is gone.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise MIVAError(
            f"The file {path.name} is gone from {path.parent}: put it back, or choose another one."
        ) from error
    return found.st_mtime_ns, found.st_size


@dataclass(frozen=True, eq=False)
class MivaModel:
    """MIVA_MODEL: a base whose networks ComfyUI moves between memories."""

    base: "Base"
    _patchers: Sequence[Any]
    _loaded: dict[tuple[Path, tuple[int, int]], tuple["MIVAAdapter", Any]] = field(default_factory=dict)
    """Adapters of the last run, so that a change of weight or seed reads no file."""

    @classmethod
    def of(cls, base: "Base") -> "MivaModel":
        return cls(base, [comfy_bridge.hold(network) for network in base.networks])

    def adapters(self, stack: MivaStack) -> "list[MIVAAdapter]":
        """The adapters of a stack, in its order."""
        from ..miva_core.adapter import MIVAAdapter

        wanted = {(entry.path, stamp_of(entry.path)) for entry in stack}
        for key in self._loaded.keys() - wanted:
            del self._loaded[key]
        for path, stamp in wanted - self._loaded.keys():
            with torch.inference_mode(False):
                adapter = MIVAAdapter.load(path, self.base.backbone)
            self._loaded[path, stamp] = adapter, comfy_bridge.hold(adapter)
        return [self._loaded[entry.path, stamp_of(entry.path)][0] for entry in stack]

    def bring(self, needed: int) -> None:
        """Have the base and the adapters of the last stack on the device they compute on, and `needed` bytes free."""
        comfy_bridge.bring([*self._patchers, *(patcher for _, patcher in self._loaded.values())], needed)


@dataclass(frozen=True)
class Dataset:
    """MIVA_DATASET: clips at the size of a base.

    Attributes:
        clips: see `TrainingClip`.
        base: name of the base whose size they have.
        camera: the name of their camera motion, empty for a subject's.
        masked: whether all clips have masks.
        source: where they come from, for the record.
    """

    clips: "Sequence[TrainingClip]"
    base: str
    camera: str
    masked: bool
    source: dict[str, str | int | float | bool]
