"""A map of how near each place of a picture is to the camera, as depth nodes and painters give it."""

import warnings
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from ..errors import MIVAError, MIVAWarning
from .pictures import format_size, same_aspect
from .pixel_values import frame_batch

_COLOURED = 0.02
"""Mean difference between channels from which on a map is a picture; files in 8 bits and JPEG stay far below."""
_FLAT = 0.02
"""Range below which a map says nothing of depth."""
NOT_DEEP = "The depth map is not used: no motion goes into depth, as truck and dolly do."


def check_nearness(nearness: Any, picture: tuple[int, int], what: str = "The depth map") -> Tensor:
    """Check a depth map, and bring it to the size of its picture.

    Args:
        nearness: (H, W), (H, W, C) or (1, H, W, C) in [0, 1], 1 where it is nearest; channels are alike.
        picture: (height, width) of the picture; a map of another size and the same aspect is scaled to it, with a
            warning.
        what: it is, to begin a message with.

    Returns:
        (height, width) float32 in [0, 1].

    Raises:
        MIVAError: it is no such map, of another aspect, flat, a picture in colours, or several.
    """
    plane = _plane(nearness, what)
    size = plane.shape[0], plane.shape[1]
    if not same_aspect(picture, size):
        raise MIVAError(
            f"{what} is {format_size(size)}, of another aspect than the picture, {format_size(picture)}: make it of "
            "the picture itself."
        )
    if is_flat(plane):
        raise MIVAError(f"{what} is flat: it should be white where the picture is near, and black where it is far.")
    if size == picture:
        return plane
    warnings.warn(
        f"{what} was scaled from {format_size(size)} to the picture's {format_size(picture)}.",
        MIVAWarning,
        stacklevel=2,
    )
    return F.interpolate(plane[None, None], picture, mode="bilinear", antialias=True)[0, 0]


def is_flat(nearness: Tensor) -> bool:
    """Whether a depth map (H, W) in [0, 1] says nothing of depth."""
    return (nearness.max() - nearness.min()).item() < _FLAT


def nearness_notes(nearness: Tensor) -> list[str]:
    """Say that a depth map (H, W) in [0, 1] looks as if black were near: its lower third is the darkest by far."""
    third = max(1, len(nearness) // 3)
    if nearness[-third:].mean() >= nearness[:third].mean() - 0.1:
        return []
    return ["The depth map is darker below than above: white is near, so invert it if black is meant to be."]


def _plane(nearness: Any, what: str) -> Tensor:
    """The map as (H, W) float32 on the CPU in [0, 1]."""
    is_plane = isinstance(nearness, Tensor) and nearness.ndim == 2
    maps = frame_batch(nearness[..., None] if is_plane else nearness, what)
    if len(maps) > 1:
        raise MIVAError(f"{what} is a batch of {len(maps)}, but there is one picture: give one of them.")
    colours = maps[0, ..., : 3 if maps.shape[-1] >= 3 else 1]
    if (colours - colours.mean(-1, keepdim=True)).abs().mean() > _COLOURED:
        raise MIVAError(
            f"{what} is a picture in colours: connect a map in grey, white where it is near, as depth nodes make it."
        )
    return colours.mean(-1)
