"""Regions that move inside of their bounds: how far they reach, how they end, and what is painted around them."""

from dataclasses import dataclass

import cv2
import numpy as np

from .background import fill_hole
from .blur import blurred
from .layered_motion import Staying
from .matte import MARGIN, matte
from .push_pull import push_pull

_RIM, _FADE = 2.0, 1.5
"""Field units around a soft region that move with it, and the standard deviation over which that fades: the outline
must not stand while the inside moves."""
_SOFT = 1.0
"""Field units, the standard deviation of the edge of a region behind others where the picture itself has none."""
_AROUND = 1.5
"""Field units beside an edge in which the colours of both sides are compared."""
_ALIKE, _UNLIKE = 0.03, 0.10
"""Differences of colours on both sides of an edge: up to the first the picture has none there, from the second on it
is as sharp as the picture shows it."""
_NOTHING = 1 / 255
_FARTHEST = 0.25
"""Of the picture's longer side: farther into what hides a region nothing but its mean colours is painted."""


@dataclass(frozen=True, eq=False)
class SoftRegion:
    """A region that draws along what is around it.

    Attributes:
        motion: of it.
        share: (h, w) in [0, 1], how much of its motion a pixel has.
        mask: (h, w) in [0, 1], as it was given.
        box: (2, 2) first and last corner x, y in pixels of what it moves.
    """

    motion: Staying
    share: np.ndarray
    mask: np.ndarray
    box: np.ndarray


@dataclass(frozen=True, eq=False)
class RegionBehind:
    """A region that moves under all that is around it.

    Attributes:
        motion: of it.
        share: (h, w) in [0, 1], how much of a pixel it is.
        colours: (h, w, 3), what is moved: it goes on behind all that hides it.
        box: (2, 2) first and last corner x, y in pixels of what it is seen in.
    """

    motion: Staying
    share: np.ndarray
    colours: np.ndarray
    box: np.ndarray


def soft_region(motion: Staying, mask: np.ndarray, hidden: np.ndarray, unit: float) -> SoftRegion:
    """Cut a region that draws along what is around it.

    Args:
        motion: of it.
        mask: (h, w) in [0, 1].
        hidden: (h, w) bool, where something is before it.
        unit: pixels to a field unit.
    """
    whole = _behind(mask, hidden)
    side = 2 * round(_RIM * unit) + 1
    wide = cv2.dilate(whole, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    share = _from_nothing(blurred(wide, _FADE * unit))
    return SoftRegion(motion, share, mask, _box(share))


def region_behind(
    motion: Staying, mask: np.ndarray, picture: np.ndarray, hidden: np.ndarray, unit: float, reach: float
) -> RegionBehind:
    """Cut a region that moves on under all that is around it.

    Args:
        motion: of it.
        mask: (h, w) in [0, 1].
        picture: (h, w, 3) float32 in [0, 1].
        hidden: (h, w) bool, where something is before it.
        unit: pixels to a field unit.
        reach: how far it moves, in pixels.
    """
    whole = _behind(mask, hidden)
    settled = matte(picture, whole)
    share = _from_nothing(_edges(picture, whole, settled, unit))
    known = _inside((mask > 0.5) & (settled > 0.5)) & ~hidden
    if not known.any():
        known = (mask > 0.5) & ~hidden
    return RegionBehind(motion, share, _continued(picture, known, reach), _box(share))


def _behind(mask: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """A mask (h, w) continued behind what hides it."""
    return push_pull(mask[..., None], hidden)[..., 0] if hidden.any() else mask


def _inside(mask: np.ndarray) -> np.ndarray:
    """What of a mask (h, w) bool is well inside of it: a rim of it may be that of what is around it."""
    margin = 2 * (round(MARGIN * max(mask.shape)) + 1) + 1
    return cv2.erode(mask.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (margin, margin))) > 0


def _from_nothing(share: np.ndarray) -> np.ndarray:
    """A share whose tail ends."""
    return np.clip((share - _NOTHING) / (1 - 2 * _NOTHING), 0, 1).astype(np.float32)


def _edges(picture: np.ndarray, mask: np.ndarray, settled: np.ndarray, unit: float) -> np.ndarray:
    """How much of each pixel (h, w) is a region's: its edge is the picture's own, or soft where that has none."""
    side = 2 * round(2 * _SOFT * unit) + 1
    inner = cv2.erode(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), borderValue=1.0)
    soft = blurred(inner, _SOFT * unit)
    sharp = _contrast(picture, mask, _AROUND * unit)
    return soft + (settled - soft) * sharp


def _contrast(picture: np.ndarray, mask: np.ndarray, sigma: float) -> np.ndarray:
    """How clearly the picture itself shows the edge of a mask, (h, w) in [0, 1], near that edge."""
    inside = (mask > 0.5).astype(np.float32)
    means = []
    for side in (inside, 1 - inside):
        weight = blurred(side, sigma)
        means.append(blurred(picture * side[..., None], sigma) / np.maximum(weight, 1e-3)[..., None])
    unlike = np.abs(means[0] - means[1]).max(-1)
    return np.clip((unlike - _ALIKE) / (_UNLIKE - _ALIKE), 0, 1)


def _continued(picture: np.ndarray, known: np.ndarray, reach: float) -> np.ndarray:
    """A picture (h, w, 3) with what is known of a region continued around it."""
    smooth = push_pull(picture, ~known)
    away = cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    near = ~known & (away <= min(reach, _FARTHEST * max(known.shape)) + 2)
    return fill_hole(np.where(known[..., None], picture, smooth), near)


def _box(share: np.ndarray) -> np.ndarray:
    """The first and last corner (2, 2), x and y, of what is not 0."""
    left, top, width, height = cv2.boundingRect((share > 0).astype(np.uint8))
    return np.array([[left - 0.5, top - 0.5], [left + width - 0.5, top + height - 0.5]])
