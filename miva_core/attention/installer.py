"""What an injection needs of the program that holds the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch

from ..adapters.backbone import Site
from .context import Context
from .processor import Processor


class Installer(Protocol):
    """Puts processors into one model and takes them out again, in the way of the program that the model belongs to.

    A program that changes its model only for the length of a forward pass keeps what `install` is given, and puts it in
    at each pass. Processors hold nothing of a model, so that one set of them serves its copies, too, one pass after the
    other, since they share one `Context`. Copies that run at the same time need an `Injection` each.
    """

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """What its attention computes in."""
        ...

    def install(self, processors: Mapping[Site, Processor], context: Context) -> None:
        """Put the processors in, and report every forward pass to the context from then on.

        Before its first attention the pass calls `Context.begin` with the size of its latents, and sets `Context.temb`
        to its time embedding.

        Args:
            processors: one for every site of the model's backbone.
            context: shared by all of them.
        """

    def remove(self) -> None:
        """Leave the model exactly as `install` found it. A second call does nothing."""
