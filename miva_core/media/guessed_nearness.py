"""How near the parts of a picture are, where nothing is known of it."""

import torch
from torch import Tensor

_HORIZON, _REACH = 0.45, 0.5
"""Shares of the height: where the ground begins to come nearer, and over which it does."""
_FAR, _NEAR = 0.1, 0.9


def lower_half_near(height: int, width: int) -> Tensor:
    """Guess that a picture is a view over a ground: (height, width) in [0, 1], nearer from the middle downwards."""
    rows = (torch.arange(height) + 0.5) / height
    ramp = ((rows - _HORIZON) / _REACH).clamp(0, 1) ** 1.3
    return (_FAR + (_NEAR - _FAR) * ramp)[:, None].repeat(1, width)
