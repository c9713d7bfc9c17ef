"""How each frame of a clip moves on from the one before, by optical flow.

Flow is searched for by dense inverse search (DIS), at a size of its own: that is quick, and what is slow in a large
picture and what is fast in a small one are found alike.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from torch import Tensor

from ..clips.optical_flow import search_flow
from ..rendering.flow_fit import centred_grid

SIDE = 384
"""Pixels of the longer side at which flow is measured; larger frames are scaled down to it."""
_ENLARGEMENT = 2
"""Small frames are enlarged by at most so much, for the search's patches are large for them."""
_EXPLAINED, _OF_CONTRAST, _NOISE = 0.06, 0.5, 0.02
"""Difference of brightness in [0, 1] up to which a flow explains what is seen; as a share of the standard deviation of
the picture, where that is less, but no less than noise."""
_SURELY = 0.9
"""Share of a frame that is explained, from which on it follows the one before; other pictures reach 0.84 at most."""
_COMES_BACK, _MISS, _MISS_SHARE = 0.45, 0.6, 0.05
"""Otherwise the share in which the way there and back ends where it began, but for so many pixels and a share of its
length: up to 0.33 between other pictures, 0.6 in much noise, 0.8 where all moves by an eighth of the picture."""
_FASTEST = 0.05
"""Share of the pixels that count as the fastest."""
_LEAST_WEIGHT = 1e-6
"""Keeps apart from 0 what is divided by."""


@dataclass(frozen=True)
class Step:
    """The motion from one frame to the next, in pixels of the clip, x first.

    Attributes:
        speed: mean length of the flow.
        fastest: the same over the fastest 5 % of the pixels.
        shift: (2,) mean flow of what moves: each pixel counts by the length of its flow, also in what follows.
        middle: (2,) median flow.
        growth: by which what is seen grows about its centre, 0.01 is 1 %.
        turn: in radians, clockwise on the screen.
        reach: root mean square of the distances from that centre.
        power: mean square of the length of the flow.
        extent: 1 if all moves equally fast, the share of what moves if the rest is still.
    """

    speed: float
    fastest: float
    shift: np.ndarray
    middle: np.ndarray
    growth: float
    turn: float
    reach: float
    power: float
    extent: float


@dataclass(frozen=True)
class Pair:
    """What was found of two frames that follow each other.

    Attributes:
        step: None where nothing was found: the mask is empty, or the frame does not follow the one before.
        follows: whether the later frame shows what the earlier one shows, moved.
    """

    step: Step | None
    follows: bool


def measured_size(size: tuple[int, int], largest: float = 1.0) -> tuple[int, int]:
    """The (height, width) at which pictures of a size are compared: 384 pixels along the longer side, or as they are.

    Args:
        size: (height, width) of the pictures.
        largest: by how much they may be enlarged.
    """
    scale = min(SIDE / max(size), largest)
    return max(1, round(scale * size[0])), max(1, round(scale * size[1]))


def scaled(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale a picture (H, W) or (H, W, C) to a (height, width); what is finer is averaged away."""
    if picture.shape[:2] == size:
        return picture
    smaller = size[0] < picture.shape[0]
    return cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)


def frame_pairs(frames: Tensor, mask: Tensor | None) -> Iterator[Pair]:
    """Measure the motion between neighbouring frames.

    Args:
        frames: (F, H, W, 3) in [0, 1].
        mask: (1 or F, H, W) in [0, 1] of what is measured, of any size and the aspect of the frames.

    Yields:
        One for each of the frames 2..F.
    """
    own = frames.shape[1], frames.shape[2]
    size = measured_size(own, _ENLARGEMENT)
    pictures = (_grey(frame, size) for frame in frames)
    for k, (earlier, later) in enumerate(pairwise(pictures), start=1):
        back = search_flow(later, earlier)
        known = _known(earlier, later, back)
        follows = bool(known.mean() >= _SURELY or _coming_back(earlier, later, back) >= _COMES_BACK)
        where = (
            known if mask is None else known & (scaled(mask[k % len(mask)].detach().float().cpu().numpy(), size) > 0.5)
        )
        yield Pair(_step(-back, where, max(own) / max(size)) if follows and where.any() else None, follows)


def _grey(frame: Tensor, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) in [0, 1] as (height, width) uint8."""
    pixels = scaled(frame.detach().float().cpu().numpy(), size)
    return (cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) * 255).round().clip(0, 255).astype(np.uint8)


def _known(earlier: np.ndarray, later: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Where backward flow explains what is seen, or leads out of the frame: (h, w) bool."""
    height, width = later.shape
    x, y = _places(back)
    moved = cv2.remap(earlier, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    tolerance = min(255 * _EXPLAINED, max(255 * _NOISE, _OF_CONTRAST * later.std()))
    outside = (x < 0) | (x > width - 1) | (y < 0) | (y > height - 1)
    return outside | (cv2.absdiff(moved, later) <= tolerance)


def _coming_back(earlier: np.ndarray, later: np.ndarray, back: np.ndarray) -> float:
    """The share of a frame whose way into the one before, and from there on again, ends where it began."""
    places = _places(back)
    again = cv2.remap(search_flow(earlier, later), *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    missed = np.linalg.norm(back + again, axis=-1)
    return float((missed <= _MISS + _MISS_SHARE * np.linalg.norm(back, axis=-1)).mean())


def _places(flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where flow (h, w, 2) leads, x and y (h, w) each."""
    height, width = flow.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return x + flow[..., 0], y + flow[..., 1]


def _step(flow: np.ndarray, where: np.ndarray, scale: float) -> Step:
    """Sum up flow (h, w, 2) where (h, w) says; a pixel of it is `scale` pixels of the clip.

    Growth and turn are those of the least-squares fit flow(p) = v + e (p - centre) + w (-y, x).
    """
    vectors, places = scale * flow[where], scale * centred_grid(*where.shape)[where]
    lengths = np.linalg.norm(vectors, axis=1)
    weights = (lengths + _LEAST_WEIGHT) / (lengths + _LEAST_WEIGHT).sum()
    places = places - weights @ places
    count = max(1, int(_FASTEST * len(lengths)))
    spread = max(float(weights @ (places**2).sum(1)), _LEAST_WEIGHT)
    return Step(
        speed=float(lengths.mean()),
        fastest=float(np.partition(lengths, -count)[-count:].mean()),
        shift=weights @ vectors,
        middle=np.median(vectors, axis=0),
        growth=float(weights @ (places * vectors).sum(1) / spread),
        turn=float(weights @ (places[:, 0] * vectors[:, 1] - places[:, 1] * vectors[:, 0]) / spread),
        reach=math.sqrt(spread),
        power=float(weights @ lengths**2),
        extent=float(lengths.mean() ** 2 / max((lengths**2).mean(), _LEAST_WEIGHT)),
    )
