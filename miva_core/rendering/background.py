"""What nobody has seen: the ground behind subjects, filled once from what is around them."""

import cv2
import numpy as np

from .matte import MARGIN
from .push_pull import push_pull
from .texture import texture

_NOTHING = 0.05
"""Of a mask: what is no more than this is no subject."""
_LONGEST_SIDE = 512
"""Pixels; what lines continue is smooth, and inpainting slow."""
_RADIUS = 4
"""Pixels around each filled one, at that size, that it is made of."""
_CONTINUED = 0.08
"""How deep into a hole lines are continued, as a share of the longer side: farther in, those of all sides collide."""


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
    """Fill a hole with the colours around it and with detail from elsewhere in the picture.

    Args:
        picture: (H, W, 3) float32 in [0, 1].
        hole: (H, W) bool.

    Returns:
        (H, W, 3) float32 in [0, 1], the picture itself outside of the hole.
    """
    if not hole.any() or hole.all():
        return picture
    filled = fill_smoothly(picture, hole)
    filled[hole] = np.clip(filled[hole] + texture(picture, filled, hole), 0, 1)
    return filled


def fill_smoothly(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Fill a hole with the colours around it.

    Near its edge lines of equal colour are continued (Bertalmio, Bertozzi and Sapiro, "Navier-Stokes, Fluid Dynamics,
    and Image and Video Inpainting", CVPR 2001), farther in there are means of what is known, see `push_pull`; both at
    no more than 512 pixels a side.

    Args:
        picture: (H, W, 3) float32 in [0, 1].
        hole: (H, W) bool, neither nothing nor all of the picture.

    Returns:
        (H, W, 3) float32 in [0, 1], the picture itself outside of the hole; a new array.
    """
    height, width = hole.shape
    scale = min(1.0, _LONGEST_SIDE / max(hole.shape))
    size = max(1, round(scale * width)), max(1, round(scale * height))
    known = (~hole).astype(np.float32)
    share = cv2.resize(known, size, interpolation=cv2.INTER_AREA)
    small = cv2.resize(picture * known[..., None], size, interpolation=cv2.INTER_AREA)
    means = push_pull(small / np.maximum(share, 1e-6)[..., None], share <= 0)
    gap = (share < 1).astype(np.uint8)
    lines = _continued(means, gap)
    depth = cv2.distanceTransform(gap, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) / (_CONTINUED * max(gap.shape))
    mixed = lines + (means - lines) * np.minimum(depth, 1)[..., None]
    filled = np.clip(cv2.resize(mixed, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1)
    return np.where(hole[..., None], filled, picture)


def _continued(means: np.ndarray, gap: np.ndarray) -> np.ndarray:
    """The means (h, w, 3) with lines of equal colour continued into a gap (h, w)."""
    # OpenCV reads beyond a picture that is one pixel high or wide, which has no such lines either.
    if 1 in gap.shape:
        return means
    # Plane by plane, since three at once are taken as bytes only, which would leave steps in a sky.
    planes = (np.ascontiguousarray(plane) for plane in cv2.split(means))
    return np.dstack([cv2.inpaint(plane, gap, _RADIUS, cv2.INPAINT_NS) for plane in planes])
