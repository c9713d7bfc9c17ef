"""Activations computed again in the backward pass, in place of being kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from torch import nn
from torch.utils.checkpoint import checkpoint

if TYPE_CHECKING:
    from diffusers import ModelMixin

_MARKS = ("gradient_checkpointing", "_gradient_checkpointing_func", "forward")
"""What is set on modules, by diffusers and here."""


@contextmanager
def gradient_checkpointing(model: "ModelMixin") -> Iterator[None]:
    """Inside the block a diffusers model keeps the inputs of its blocks alone, and of its motion modules.

    diffusers leaves the motion modules out, whose activations are most of what then remains. Afterwards the model is as
    it was.
    """
    motion = [module for module in model.modules() if type(module).__name__ == "AnimateDiffTransformer3D"]
    before = {m: {name: vars(m)[name] for name in _MARKS if name in vars(m)} for m in model.modules()}
    model.enable_gradient_checkpointing()
    for module in motion:
        # Nothing in a frozen base draws random numbers.
        module.forward = partial(checkpoint, module.forward, use_reentrant=False, preserve_rng_state=False)
    try:
        yield
    finally:
        for module, marks in before.items():
            _put_back(module, marks)


def _put_back(module: nn.Module, marks: dict[str, object]) -> None:
    for name in _MARKS:
        vars(module).pop(name, None)
        if name in marks:
            vars(module)[name] = marks[name]
