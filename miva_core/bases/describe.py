"""Which attention sites a model has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..adapters.backbone import Backbone
from ..errors import MIVAError
from .registry import BASES

if TYPE_CHECKING:
    from torch import nn


def describe(model: nn.Module) -> Backbone:
    """Find the attention sites of a supported model.

    Args:
        model: of a class that some architecture names, or of one derived from it; the weights may be on the meta
            device.

    Raises:
        MIVAError: the model's class is not supported, or one of its attentions does more than this pack reproduces.

    Example:
        >>> describe(load_base("tiny").model).family
        'animatediff'
    """
    # By name, so that nothing has to import the library the class comes from.
    describers = {spec.architecture.model_class: spec.architecture.describe for spec in BASES.values()}
    for cls in type(model).__mro__:
        if cls.__name__ in describers:
            return describers[cls.__name__](model)
    raise MIVAError(
        f"A model of class {type(model).__name__} is not supported; pass one of {', '.join(sorted(describers))} "
        "(not a pipeline, nor a model wrapped by torch.compile)."
    )
