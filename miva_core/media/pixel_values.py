"""Check pictures, clips and masks that are handed over as tensors, and bring them to one shape and range."""

import math
from typing import Any

import torch
from torch import Tensor

from ..errors import MIVAError

MIN_SIDE = 8
"""Pixels; anything smaller shows nothing."""
_LOWEST, _HIGHEST = -0.5, 2.0
"""Bicubic scaling overshoots to -0.45 and 1.45, and two masks added up reach 2; beyond lies another range."""


def clamp_unit(values: Tensor, owner: str) -> Tensor:
    """Clamp values to [0, 1], and refuse those that are too far outside to be meant so.

    Args:
        values: floats of any shape, at least one.
        owner: whose they are, to begin a message with: "The picture".

    Raises:
        MIVAError: some are NaN or infinite, or their range is another one, such as 0…255 or -1…1.
    """
    return _clamped(values, owner, _LOWEST, _HIGHEST)


def _clamped(values: Tensor, owner: str, lowest: float, highest: float) -> Tensor:
    low, high = (bound.item() for bound in torch.aminmax(values))
    if not (math.isfinite(low) and math.isfinite(high)):
        raise MIVAError(f"{owner} holds NaN or infinite values: make another one.")
    if low < lowest or high > highest:
        raise MIVAError(f"{owner} has values from {low:g} to {high:g}: scale them to 0 … 1.")
    return values if low >= 0 and high <= 1 else values.clamp(0, 1)


def to_bytes(values: Tensor) -> Tensor:
    """Convert floats in [0, 1] to uint8; those outside are clamped, since they would wrap around."""
    return values.clamp(0, 1).mul_(255).round_().byte()


def frame_batch(images: Any, owner: str) -> Tensor:
    """Check frames and bring them to one shape, range, type and device.

    Args:
        images: floats in [0, 1] of shape (F, H, W, C), or (H, W, C) for one picture; further dimensions of size 1, as
            in a batch of one clip (1, F, H, W, C), are dropped.
        owner: whose they are, as in `clamp_unit`.

    Returns:
        (F, H, W, C) float32 on the CPU in [0, 1], with 1 to 4 channels.

    Raises:
        MIVAError: another type or shape, empty, a side below 8 pixels, or another range (see `clamp_unit`).
    """
    if not _is_dense(images) or not images.is_floating_point():
        raise MIVAError(
            f"{owner} is {_kind(images)}: give floats in [0, 1] of shape (frames, height, width, channels)."
        )
    shape, frames = tuple(images.shape), images
    while frames.ndim > 4 and 1 in frames.shape[:-3]:
        frames = frames.squeeze(frames.shape.index(1))
    frames = frames[None] if frames.ndim == 3 else frames
    if frames.ndim == 5:
        raise MIVAError(f"{owner} is a batch of {len(frames)} clips, of shape {shape}: connect them one by one.")
    if frames.ndim != 4 or frames.shape[-1] not in (1, 2, 3, 4):
        raise MIVAError(
            f"{owner} has the shape {shape}: (frames, height, width, channels) is needed, with 1 to 4 channels."
        )
    if not frames.numel():
        raise MIVAError(f"{owner} is empty, its shape is {shape}: connect a picture.")
    height, width = frames.shape[1:3]
    if min(height, width) < MIN_SIDE:
        raise MIVAError(f"{owner} is {width}×{height}: each side must have at least {MIN_SIDE} pixels.")
    return clamp_unit(frames.detach().to("cpu", torch.float32), owner)


def mask_batch(mask: Any, owner: str) -> Tensor:
    """Check masks and bring them to one shape, range, type and device.

    Args:
        mask: floats in [0, 1], booleans, or integers 0 and 1, of shape (H, W) or (B, H, W); further dimensions of
            size 1, as in (B, 1, H, W) and (B, H, W, 1), are dropped.
        owner: whose they are, as in `clamp_unit`.

    Returns:
        (B, H, W) float32 on the CPU in [0, 1].

    Raises:
        MIVAError: another type or shape, empty, or another range (see `clamp_unit`).
    """
    if not _is_dense(mask) or mask.is_complex():
        raise MIVAError(f"{owner} is {_kind(mask)}, expected a tensor (H, W) in [0, 1].")
    shape, masks = tuple(mask.shape), _without_channel(mask)
    masks = masks[None] if masks.ndim == 2 else masks
    coloured = shape[-1:] in ((3,), (4,)) and min(shape[-3:-1]) >= MIN_SIDE
    if masks.ndim != 3 or coloured:
        advice = ": Convert Image to Mask makes one of a picture" if coloured else ""
        raise MIVAError(
            f"{owner} has the shape {shape}, but masks are (height, width) or (masks, height, width){advice}."
        )
    if not masks.numel():
        raise MIVAError(f"{owner} is empty, its shape is {shape}: connect a mask with pixels.")
    # Integers are exact; only the arithmetic of floats may leave values somewhat outside.
    bounds = (_LOWEST, _HIGHEST) if masks.is_floating_point() else (0, 1)
    return _clamped(masks.detach().to("cpu", torch.float32), owner, *bounds)


def _without_channel(mask: Tensor) -> Tensor:
    """Drop dimensions of size 1 beyond (B, H, W): first that of a channel behind or in front of H and W."""
    if mask.ndim > 2 and mask.shape[-1] == 1:
        return _without_channel(mask.squeeze(-1))
    for dim in (-3, 0):
        if mask.ndim > 3 and mask.shape[dim] == 1:
            return _without_channel(mask.squeeze(dim))
    return mask


def _is_dense(value: Any) -> bool:
    """Whether this is a tensor that stores every value: neither sparse nor quantised."""
    return isinstance(value, Tensor) and value.layout == torch.strided and not value.is_quantized


def _kind(value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    layout = "" if value.layout == torch.strided else f" and {value.layout}"
    return f"a tensor of {value.dtype}{layout}"
