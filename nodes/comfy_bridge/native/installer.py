"""What an injection puts into a MODEL, kept until a forward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ....miva_core.adapters.backbone import Site
from ....miva_core.attention.context import Context
from ....miva_core.attention.processor import Processor
from ....miva_core.attention.strength import Part
from ....miva_core.errors import MIVAError


class NativeInstaller:
    """An `Installer` that changes nothing: a host puts the processors in for one forward pass at a time.

    Args:
        device: where the MODEL computes.
        dtype: what its attention computes in.
        cacheable: whether the network has run before in this sampling call, so that caches may leave out some of it.

    Attributes:
        processors: of every site, until `remove`.
        context: of them all.
        prepared: what the host has made of them. It is kept, so that torch.compile meets the same functions again.
        proven: whether all of it has been called.
        acting: the parts of adapters that act in the coming passes; a host puts nothing in for the others.
        hears_text: whether a text has any effect there.
    """

    processors: Mapping[Site, Processor]
    context: Context

    def __init__(self, device: torch.device, dtype: torch.dtype, cacheable: bool = False) -> None:
        self._device, self._dtype, self._cacheable = device, dtype, cacheable
        self.prepared: Any = None
        self.proven = False
        self._missed: Sequence[str] = ()
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

    def judge(self, missed: Sequence[str]) -> None:
        """Take note of what has not been called.

        Args:
            missed: where processors were put in and never called, after a forward pass.

        Raises:
            MIVAError: there is some, and it cannot be due to a cache.
        """
        self._missed, self.proven = missed, not missed
        if not self._cacheable:
            self.check_heard()

    def check_heard(self) -> None:
        """Check, once a sampling call is over, that all was called at last.

        Raises:
            MIVAError: it was not.
        """
        if self._missed:
            raise not_called(self._missed)


def not_called(sites: Sequence[str]) -> MIVAError:
    """Say that processors were put in, but never called."""
    others = f" and {len(sites) - 1} more" if len(sites) > 1 else ""
    return MIVAError(
        f"The motions were not heard at {sites[0]}{others}: another node has changed how this MODEL runs its blocks. "
        "Take that node out, or use MIVA Sampler with a base of Load MIVA Base."
    )
