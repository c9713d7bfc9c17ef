"""What nobody has seen: the ground behind subjects, filled once from what is around them."""

import cv2
import numpy as np

from .matte import REACH

MARGIN = 1.5 * REACH
"""How far the hole in the ground reaches beyond a mask, as a share of the picture's longer side.

A mask that misses a rim of the subject would leave it in the ground as a ghost.
"""
_LONGEST_SIDE = 512
"""Pixels; structures are continued at this size, since inpainting gets slow and streaky with the width of a hole."""
_RADIUS = 4
_NOTHING = 0.05
"""Of a mask: what is no more than this is no subject."""


def hole_around(mask: np.ndarray) -> np.ndarray:
    """Find where the ground is filled behind a subject: its mask and a rim of `MARGIN` around it.

    Args:
        mask: (H, W) float32 in [0, 1].

    Returns:
        (H, W) bool.
    """
    side = 2 * (round(MARGIN * max(mask.shape)) + 1) + 1
    covered = (mask > _NOTHING).astype(np.uint8)
    return cv2.dilate(covered, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))) > 0


def fill_hole(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Fill a hole smoothly with what surrounds it.

    Lines of equal colour are continued into the hole: Bertalmio, Bertozzi and Sapiro, "Navier-Stokes, Fluid Dynamics,
    and Image and Video Inpainting", CVPR 2001, at no more than 512 pixels a side.

    Args:
        picture: (H, W, 3) float32 in [0, 1].
        hole: (H, W) bool.

    Returns:
        (H, W, 3) float32 in [0, 1], the picture itself outside of the hole.
    """
    if not hole.any() or hole.all():
        return picture
    height, width = hole.shape
    scale = min(1.0, _LONGEST_SIDE / max(hole.shape))
    size = max(1, round(scale * width)), max(1, round(scale * height))
    known = (~hole).astype(np.float32)
    small = cv2.resize(push_pull(picture, hole), size, interpolation=cv2.INTER_AREA)
    gap = (cv2.resize(known, size, interpolation=cv2.INTER_AREA) < 1).astype(np.uint8)
    # Plane by plane, since three at once are taken as bytes only, which would leave steps in a sky.
    planes = [cv2.inpaint(np.ascontiguousarray(plane), gap, _RADIUS, cv2.INPAINT_NS) for plane in cv2.split(small)]
    filled = cv2.resize(np.dstack(planes), (width, height), interpolation=cv2.INTER_CUBIC)
    return np.where(hole[..., None], np.clip(filled, 0, 1), picture)


def push_pull(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Fill a hole with means of what is known, coarser the farther it is: Gortler et al., "The Lumigraph", 1996.

    Args:
        picture: (H, W, 3) float32.
        hole: (H, W) bool.

    Returns:
        (H, W, 3) float32, the picture itself outside of the hole.
    """
    height, width = hole.shape
    if not hole.any() or height * width == 1:
        return picture
    half, known = ((width + 1) // 2, (height + 1) // 2), (~hole).astype(np.float32)
    weight = cv2.resize(known, half, interpolation=cv2.INTER_AREA)
    means = cv2.resize(picture * known[..., None], half, interpolation=cv2.INTER_AREA)
    coarse = push_pull(means / np.maximum(weight, 1e-6)[..., None], weight <= 0)
    return np.where(hole[..., None], cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), picture)
