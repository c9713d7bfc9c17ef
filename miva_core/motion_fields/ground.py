"""A guess of how near each place of a picture is, where nobody knows."""

import torch
from torch import Tensor

_FARTHEST, _NEAREST = 0.1, 0.9
_RISE = 1.3


def guessed_nearness(height: int, width: int) -> Tensor:
    """The lower half is near: a level ground up to the horizon, which lies in the middle.

    Args:
        height: of the map in pixels.
        width: likewise.

    Returns:
        (height, width) in [0, 1], 1 is nearest.
    """
    below = ((torch.arange(height) + 0.5) / height * 2 - 1).clamp(min=0)
    return (_FARTHEST + (_NEAREST - _FARTHEST) * below**_RISE)[:, None].expand(-1, width).contiguous()
