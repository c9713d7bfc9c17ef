"""Adapters that stay in memory, so that a change of a weight, a seed or a mask reads no file."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from . import comfy_bridge

if TYPE_CHECKING:
    from ..miva_core.adapters.adapter import MIVAAdapter
    from ..miva_core.adapters.backbone import Backbone

FileNow = tuple[Path, tuple[int, int]]
"""A file, and what distinguishes it from the one that stood there before, see `stamp_of`."""
_MOST = 8


class LoadedAdapter(NamedTuple):
    """
    Attributes:
        adapter: of a file.
        patcher: the one ModelPatcher that ComfyUI moves it by.
    """

    adapter: "MIVAAdapter"
    patcher: Any


class KeptAdapters:
    """The adapters that were used last, each with one ModelPatcher for all uses.

    A second patcher of the same network makes ComfyUI warn of a leak once the first one is given up.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[FileNow, str], LoadedAdapter] = {}

    def of(self, files: Iterable[FileNow], backbone: "Backbone") -> list[LoadedAdapter]:
        """Load the adapters of files, or take those that are in memory.

        Args:
            files: one for each motion; a file may come several times.
            backbone: of the base that they are to act in.

        Returns:
            One for each, in the same order.

        Raises:
            MIVAError: a file is damaged, or was made for another base.
        """
        keys = [(file, backbone.fingerprint) for file in files]
        for key in dict.fromkeys(keys):
            # The newest stand at the end.
            self._kept[key] = self._kept.pop(key) if key in self._kept else _loaded(key[0][0], backbone)
        for key in list(self._kept)[: -max(_MOST, len(set(keys)))]:
            del self._kept[key]
        return [self._kept[key] for key in keys]


def _loaded(path: Path, backbone: "Backbone") -> LoadedAdapter:
    from ..miva_core.adapters.adapter import MIVAAdapter

    # Tensors made in inference mode could not be trained with.
    with torch.inference_mode(False):
        adapter = MIVAAdapter.load(path, backbone)
    return LoadedAdapter(adapter, comfy_bridge.make_patcher(adapter))
