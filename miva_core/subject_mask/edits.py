"""Small changes of masks: grow, feather, keep the largest piece, fill holes, invert.

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


@dataclass(frozen=True)
class Edits:
    """Changes that are made in this order, see the functions of these names; distances are in pixels."""

    keep_largest: bool = False
    fill_holes: bool = False
    grow: float = 0
    feather: float = 0
    invert: bool = False

    def apply(self, masks: Tensor) -> Tensor:
        if self.keep_largest:
            masks = keep_largest(masks)
        if self.fill_holes:
            masks = fill_holes(masks)
        masks = feather(grow(masks, self.grow), self.feather)
        return invert(masks) if self.invert else masks


def grow(masks: Tensor, pixels: float) -> Tensor:
    """Masks of 0 and 1 whose edge, that of what is above 0.5, lies so many pixels further out, or in where negative.

    Raises:
        MIVAError: the distance is no number from -1024 to 1024.
    """
    distance = _distance("grow", pixels, -_FARTHEST)
    if not distance:
        return masks

    def moved(mask: np.ndarray) -> np.ndarray:
        inside = mask > 0.5
        # Of the places that change, how far each is from the others.
        changing = ~inside if distance > 0 else inside
        away = cv2.distanceTransform(changing.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        kept = away <= abs(distance)
        return (inside | kept if distance > 0 else inside & ~kept).astype(np.float32)

    return _each(masks, moved)


def feather(masks: Tensor, pixels: float) -> Tensor:
    """Masks whose edge is soft: blurred by a Gaussian, which leaves most of the change within so many pixels.

    Raises:
        MIVAError: the distance is no number from 0 to 1024.
    """
    width = _distance("feather", pixels, 0)
    if not width:
        return masks
    return _each(masks, lambda mask: cv2.GaussianBlur(mask, (0, 0), width / 2, borderType=cv2.BORDER_REPLICATE))


def keep_largest(masks: Tensor) -> Tensor:
    """Masks without all but their largest connected piece, of what is above 0.5 (corners connect)."""

    def largest(mask: np.ndarray) -> np.ndarray:
        count, labels, sizes, _ = cv2.connectedComponentsWithStats((mask > 0.5).astype(np.uint8), connectivity=8)
        return mask * (labels == 1 + sizes[1:, cv2.CC_STAT_AREA].argmax()) if count > 2 else mask

    return _each(masks, largest)


def fill_holes(masks: Tensor) -> Tensor:
    """Masks that are 1 also where what is not above 0.5 has no way to the frame's border (corners do not connect)."""

    def fill(mask: np.ndarray) -> np.ndarray:
        # A rim around the frame joins all that reaches the border.
        outside = np.pad((mask <= 0.5).astype(np.uint8), 1, constant_values=1)
        labels = cv2.connectedComponents(outside, connectivity=4)[1]
        inner = labels[1:-1, 1:-1]
        return np.where((mask <= 0.5) & (inner != labels[0, 0]), np.float32(1), mask)

    return _each(masks, fill)


def invert(masks: Tensor) -> Tensor:
    """Masks that are 1 where these are 0."""
    return 1 - masks


def _each(masks: Tensor, change: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    """Apply to each (H, W) of (…, H, W)."""
    if not masks.numel():
        return masks
    flat = masks.reshape(-1, *masks.shape[-2:]).cpu().float()
    changed = [torch.from_numpy(np.ascontiguousarray(change(mask.numpy()))) for mask in flat]
    return torch.stack(changed).reshape(masks.shape).to(masks)


def _distance(name: str, pixels: float, lowest: float) -> float:
    if not is_number(pixels) or not lowest <= pixels <= _FARTHEST:
        raise MIVAError(f"A mask cannot {name} by {pixels!r} pixels: choose a number from {lowest} to {_FARTHEST}.")
    return float(pixels)
