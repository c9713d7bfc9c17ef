"""Which attention sites a model has."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..adapters.backbone import Backbone
from ..errors import MIVAError
from .animatediff.sites import describe_unet
from .wan.sites import describe_wan

if TYPE_CHECKING:
    from torch import nn

_DESCRIBERS: dict[str, Callable[[nn.Module], Backbone]] = {
    "UNetMotionModel": describe_unet,
    "WanTransformer3DModel": describe_wan,
}
"""By the name of a model's class, so that nothing has to import the library the class comes from."""


def describe(model: nn.Module) -> Backbone:
    """Find the attention sites of a supported model; the weights may be on the meta device.

    Raises:
        MIVAError: the model's class is not supported, or one of its attentions does more than this pack reproduces.
    """
    for cls in type(model).__mro__:
        if cls.__name__ in _DESCRIBERS:
            return _DESCRIBERS[cls.__name__](model)
    raise MIVAError(
        f"A model of class {type(model).__name__} is not supported; pass one of {', '.join(sorted(_DESCRIBERS))} "
        "(not a pipeline, nor a model wrapped by torch.compile)."
    )
