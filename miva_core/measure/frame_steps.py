"""How each frame of a clip moves on from the one before, by optical flow.

Flow is searched for by dense inverse search (DIS), at a size of its own: that is quick, and what is slow in a large
picture and what is fast in a small one are found alike.
"""

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
_EXPLAINED = 0.06
"""Difference of brightness in [0, 1] up to which a flow explains what is seen."""
_LEAST_EXPLAINED = 0.6
"""Share of the frame that is explained, below which a frame does not follow the one before."""
_FASTEST = 0.05
"""Share of the pixels that count as the fastest."""


@dataclass(frozen=True)
class Step:
    """The motion from one frame to the next, in pixels of the clip, x first.

    Attributes:
        speed: mean length of the flow.
        fastest: the same over the fastest 5 % of the pixels.
        shift: (2,) mean flow.
        middle: (2,) median flow.
        growth: by which what is seen grows about its centre, 0.01 is 1 %.
        turn: in radians, clockwise on the screen.
        reach: root mean square of the distances from that centre.
        power: mean square of the length of the flow.
    """

    speed: float
    fastest: float
    shift: np.ndarray
    middle: np.ndarray
    growth: float
    turn: float
    reach: float
    power: float


@dataclass(frozen=True)
class Pair:
    """What was found of two frames that follow each other.

    Attributes:
        step: None where nothing was found: the mask is empty, or the frame does not follow the one before.
        follows: whether the later frame shows what the earlier one shows, moved.
    """

    step: Step | None
    follows: bool


def reduced(picture: np.ndarray, largest: float = 1.0) -> np.ndarray:
    """Scale a picture (H, W) or (H, W, C) to 384 pixels of its longer side, but enlarge it at most so much."""
    height, width = picture.shape[:2]
    scale = min(SIDE / max(height, width), largest)
    size = max(1, round(scale * width)), max(1, round(scale * height))
    if size == (width, height):
        return picture
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def frame_pairs(frames: Tensor, mask: Tensor | None) -> Iterator[Pair]:
    """Measure the motion between neighbouring frames.

    Args:
        frames: (F, H, W, 3) in [0, 1].
        mask: (1 or F, H, W) in [0, 1] of what is measured, of any size and the aspect of the frames.

    Yields:
        One for each of the frames 2..F.
    """
    pictures = (_grey(frame) for frame in frames)
    longer = max(frames.shape[1:3])
    for k, (earlier, later) in enumerate(pairwise(pictures), start=1):
        back = search_flow(later, earlier)
        known = _known(earlier, later, back)
        follows = known.mean() >= _LEAST_EXPLAINED
        where = known if mask is None else known & _selected(mask[k % len(mask)], known.shape)
        scale = longer / max(known.shape)
        yield Pair(_step(-back, where, scale) if follows and where.any() else None, bool(follows))


def _grey(frame: Tensor) -> np.ndarray:
    """(H, W, 3) in [0, 1] as (h, w) uint8 at the size of the search."""
    pixels = reduced(frame.detach().float().cpu().numpy(), _ENLARGEMENT)
    return (cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) * 255).round().clip(0, 255).astype(np.uint8)


def _selected(mask: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    """Where a mask (H, W) is white, (h, w) bool."""
    size = shape[1], shape[0]
    return cv2.resize(mask.float().cpu().numpy(), size, interpolation=cv2.INTER_AREA) > 0.5


def _known(earlier: np.ndarray, later: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Where backward flow explains what is seen, or leads out of the frame: (h, w) bool."""
    height, width = later.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = x + back[..., 0], y + back[..., 1]
    moved = cv2.remap(earlier, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    outside = (x < 0) | (x > width - 1) | (y < 0) | (y > height - 1)
    return outside | (cv2.absdiff(moved, later) <= 255 * _EXPLAINED)


def _step(flow: np.ndarray, where: np.ndarray, scale: float) -> Step:
    """Sum up flow (h, w, 2) where (h, w) says; a pixel of it is `scale` pixels of the clip.

    Growth and turn are those of the least-squares fit flow(p) = v + e (p - centre) + w (-y, x).
    """
    vectors, places = scale * flow[where], scale * centred_grid(*where.shape)[where]
    places = places - places.mean(0)
    lengths = np.linalg.norm(vectors, axis=1)
    count = max(1, int(_FASTEST * len(lengths)))
    spread = max((places**2).sum(), 1e-9)
    return Step(
        speed=float(lengths.mean()),
        fastest=float(np.partition(lengths, -count)[-count:].mean()),
        shift=vectors.mean(0),
        middle=np.median(vectors, axis=0),
        growth=float((places * vectors).sum() / spread),
        turn=float((places[:, 0] * vectors[:, 1] - places[:, 1] * vectors[:, 0]).sum() / spread),
        reach=float(np.sqrt((places**2).sum(1).mean())),
        power=float((lengths**2).mean()),
    )
