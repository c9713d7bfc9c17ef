"""Edit masks: grow, feather, keep the largest piece, fill holes, invert.

Masks are float tensors (…, H, W) in [0, 1]; each frame is changed by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from ..checks import is_number
from ..errors import MIVAError

_FARTHEST = 1024
"""Pixels."""


@dataclass(frozen=True)
class Edits:
    """Edits that are made in the order of the attributes, by the functions of these names.

    Attributes:
        keep_largest: whether to drop all connected pieces but the largest.
        fill_holes: whether to fill holes.
        grow: distance in pixels by which the edge moves outwards, -1024 to 1024; negative moves it inwards.
        feather: width in pixels of the soft edge, 0 to 1024.
        invert: whether to swap inside and outside.
    """

    keep_largest: bool = False
    fill_holes: bool = False
    grow: float = 0
    feather: float = 0
    invert: bool = False

    def apply(self, masks: Tensor) -> Tensor:
        """Edit masks (…, H, W) in [0, 1].

        Raises:
            MIVAError: a distance is out of range.
        """
        if self.keep_largest:
            masks = keep_largest(masks)
        if self.fill_holes:
            masks = fill_holes(masks)
        masks = feather(grow(masks, self.grow), self.feather)
        return invert(masks) if self.invert else masks


def grow(masks: Tensor, pixels: float) -> Tensor:
    """Move the edge of masks, where they cross 0.5, outwards by a distance.

    Args:
        masks: (…, H, W) in [0, 1].
        pixels: the distance, -1024 to 1024; negative moves the edge inwards.

    Returns:
        (…, H, W) of 0 and 1; masks are returned as they are for a distance of 0.

    Raises:
        MIVAError: the distance is no number from -1024 to 1024.
    """
    distance = _distance("grow", pixels, -_FARTHEST)
    if not distance:
        return masks

    def moved(mask: np.ndarray) -> np.ndarray:
        inside = mask > 0.5
        # How far each pixel of the side that shrinks is from the other side.
        shrinking = ~inside if distance > 0 else inside
        distances = cv2.distanceTransform(shrinking.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        near = distances <= abs(distance)
        return (inside | near if distance > 0 else inside & ~near).astype(np.float32)

    return _each(masks, moved)


def feather(masks: Tensor, pixels: float) -> Tensor:
    """Soften the edge of masks by a Gaussian blur.

    Args:
        masks: (…, H, W) in [0, 1].
        pixels: twice the standard deviation, 0 to 1024, within which most of the change lies.

    Returns:
        (…, H, W) in [0, 1].

    Raises:
        MIVAError: the distance is no number from 0 to 1024.
    """
    width = _distance("feather", pixels, 0)
    if not width:
        return masks
    return _each(masks, lambda mask: cv2.GaussianBlur(mask, (0, 0), width / 2, borderType=cv2.BORDER_REPLICATE))


def keep_largest(masks: Tensor) -> Tensor:
    """Drop all connected pieces of masks but the largest; pieces are what is above 0.5, corners connect them."""

    def largest(mask: np.ndarray) -> np.ndarray:
        count, labels, sizes, _ = cv2.connectedComponentsWithStats((mask > 0.5).astype(np.uint8), connectivity=8)
        return mask * (labels == 1 + sizes[1:, cv2.CC_STAT_AREA].argmax()) if count > 2 else mask

    return _each(masks, largest)


def fill_holes(masks: Tensor) -> Tensor:
    """Fill holes of masks with 1: what is at most 0.5 and not connected to the border of the frame, not by corners."""

    def fill(mask: np.ndarray) -> np.ndarray:
        # A rim around the frame connects all that reaches the border.
        outside = np.pad((mask <= 0.5).astype(np.uint8), 1, constant_values=1)
        labels = cv2.connectedComponents(outside, connectivity=4)[1]
        inner = labels[1:-1, 1:-1]
        return np.where((mask <= 0.5) & (inner != labels[0, 0]), np.float32(1), mask)

    return _each(masks, fill)


def invert(masks: Tensor) -> Tensor:
    """Swap inside and outside of masks: 1 - masks."""
    return 1 - masks


def _each(masks: Tensor, change: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    """Apply a function to each mask (H, W) of (…, H, W)."""
    if not masks.numel():
        return masks
    flat = masks.reshape(-1, *masks.shape[-2:]).cpu().float()
    changed = [torch.from_numpy(np.ascontiguousarray(change(mask.numpy()))) for mask in flat]
    return torch.stack(changed).reshape(masks.shape).to(masks)


def _distance(name: str, pixels: float, lowest: float) -> float:
    if not is_number(pixels) or not lowest <= pixels <= _FARTHEST:
        raise MIVAError(f"A mask cannot {name} by {pixels!r} pixels: choose a number from {lowest} to {_FARTHEST}.")
    return float(pixels)
