"""Other `forward`s for modules of a model that belongs to others, for the length of one call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def with_forwards(replacements: Iterable[tuple[nn.Module, Callable[..., Any]]]) -> Iterator[None]:
    """Set modules' `forward` until the end of the with block, which leaves them as it found them, whatever happens.

    Args:
        replacements: modules, each once, and what they are to compute.
    """
    replaced: list[tuple[nn.Module, Any]] = []
    try:
        for module, forward in replacements:
            # Only a module that another program has changed has one of its own, beside that of its class.
            replaced.append((module, module.__dict__.get("forward")))
            module.__dict__["forward"] = forward
        yield
    finally:
        for module, earlier in reversed(replaced):
            if earlier is None:
                del module.__dict__["forward"]
            else:
                module.__dict__["forward"] = earlier
