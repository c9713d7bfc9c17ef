"""What an injection puts into a MODEL, kept until a forward pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ....miva_core.adapters.backbone import Site
from ....miva_core.attention.context import Context
from ....miva_core.attention.processor import Processor
from ....miva_core.attention.strength import Part


class NativeInstaller:
    """An `Installer` that changes nothing: a host puts the processors in for one forward pass at a time.

    Args:
        device: where the MODEL computes.
        dtype: what its attention computes in.

    Attributes:
        processors: of every site, until `remove`.
        context: of them all.
        prepared: what the host has made of them. It is kept, so that torch.compile meets the same functions again.
        proven: whether a forward pass has called all of it.
        acting: the parts of adapters that act in the coming passes; a host puts nothing in for the others.
        hears_text: whether a text has any effect there.
    """

    processors: Mapping[Site, Processor]
    context: Context

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self._device, self._dtype = device, dtype
        self.prepared: Any = None
        self.proven = False
        self.acting: frozenset[Part] = frozenset()
        self.hears_text = True

    @property
    def device(self) -> torch.device:
        return self._device

    @property
    def dtype(self) -> torch.dtype:
        return self._dtype

    def install(self, processors: Mapping[Site, Processor], context: Context) -> None:
        """See `Installer.install`."""
        self.processors, self.context = processors, context

    def remove(self) -> None:
        """See `Installer.remove`."""
        self.processors, self.prepared = {}, None
