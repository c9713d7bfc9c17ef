"""What an injection could leave behind in a model."""

from typing import Any

from torch import nn


def traces(model: nn.Module) -> dict[str, Any]:
    """Everything an injection could leave behind, module by module."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_forward_hooks_with_kwargs")
    return {
        name: (
            list(vars(module)),
            list(module._modules),
            [len(getattr(module, hook)) for hook in hooks],
            id(getattr(module, "processor", None)),
        )
        for name, module in model.named_modules()
    }
