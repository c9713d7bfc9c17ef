"""Activations computed again in the backward pass, in place of being kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint


@contextmanager
def gradient_checkpointing(model: nn.Module) -> Iterator[None]:
    """Inside the block a diffusers model keeps the inputs of its blocks alone, and of its motion modules.

    diffusers leaves the motion modules out, whose activations are most of what then remains. Afterwards the model is as
    it was.
    """
    motion = [module for module in model.modules() if type(module).__name__ == "AnimateDiffTransformer3D"]
    before = {module: module.gradient_checkpointing for module in model.modules() if _can(module)}
    model.enable_gradient_checkpointing()
    for module in motion:
        # Nothing in a frozen base draws random numbers.
        module.forward = partial(checkpoint, module.forward, use_reentrant=False, preserve_rng_state=False)
    try:
        yield
    finally:
        for module in motion:
            del module.forward
        for module, was in before.items():
            module.gradient_checkpointing = was


def _can(module: nn.Module) -> bool:
    return hasattr(module, "gradient_checkpointing")
