"""The motion of a clip in numbers and words: how fast, how much, which way."""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from torch import Tensor

from ..adapters.degree import DegreeRange
from ..errors import MIVAError
from ..media.pictures import format_size, same_aspect
from .dynamics import dynamics
from .frame_steps import Pair, Step, frame_pairs
from .motion_words import motion_words
from .ms_ssim import WINDOW

EDGES = tuple(0.0002 * 2 ** (k / 2) for k in range(19))
"""Between buckets, shares of the clip's longer side a frame: two buckets further is twice as fast."""


@dataclass(frozen=True)
class ClipMotion:
    """The motion of a clip, by its optical flow and by the likeness of its frames.

    Attributes:
        speed: mean length of the flow, in pixels a frame.
        share: the same as a share of the clip's longer side.
        right: median flow to the right, in pixels a frame.
        down: median flow downwards, in pixels a frame.
        growth: relative growth of what is seen a frame; 0.01 is 1 %.
        fastest: mean length of the fastest 5 % of the flow of each frame, in pixels a frame.
        dynamics: 1 - MS-SSIM of neighbouring frames, 0 is still (MiraMo, Eq. 13).
        words: the motion in words: "to the right, as when a camera pans left".
        speeds: (F-1,) mean length of the flow of each of the frames 2..F; NaN where nothing was measured.
        cuts: frames, counted from 1, that do not follow the one before; they are left out of all else.
    """

    speed: float
    share: float
    right: float
    down: float
    growth: float
    fastest: float
    dynamics: float
    words: str
    speeds: tuple[float, ...]
    cuts: tuple[int, ...]

    def bucket(self, degree: DegreeRange | None = None) -> int:
        """How much motion there is, from 0 to 19.

        Args:
            degree: of an adapter, whose buckets are then meant; the clip must have its size and rate. None for
                `EDGES`: 0 is as good as still.
        """
        if degree is None:
            return bisect_right(EDGES, self.share)
        return bisect_right(degree.edges, self.speed if degree.measure == "flow" else self.dynamics)


def measure_motion(
    frames: Tensor, mask: Tensor | None = None, on_progress: Callable[[int, int], object] = lambda *_: None
) -> ClipMotion:
    """Measure the motion of a clip.

    Args:
        frames: (F, H, W, 3) in [0, 1], at least two.
        mask: (1 or F, H, W) in [0, 1] of its subject, of any size of the same aspect; the flow is then measured there
            alone. One mask holds for all frames.
        on_progress: called as on_progress(done, total), twice for each of the frames 2..F: for its flow and for its
            likeness to the one before.

    Raises:
        MIVAError: there are too few frames or pixels, the mask does not fit or is empty, or no frame follows another.
    """
    _check(frames, mask)
    pairs: list[Pair] = []
    for pair in frame_pairs(frames, mask):
        pairs.append(pair)
        on_progress(len(pairs), 2 * (len(frames) - 1))
    cuts = tuple(k for k, pair in enumerate(pairs, start=2) if not pair.follows)
    steps = [pair.step for pair in pairs if pair.step]
    if len(cuts) == len(pairs):
        raise MIVAError(
            "No frame of the clip follows the one before: these are single pictures, mere noise, or they move too far "
            "at once. Give the frames of one clip, in order, and more of them a second where they move far."
        )
    if not steps:
        raise MIVAError("The mask selects nothing in which a motion could be measured: give one that is white there.")
    speeds = tuple(pair.step.speed if pair.step else math.nan for pair in pairs)
    changed = dynamics(frames, cuts, lambda done: on_progress(len(pairs) + done, 2 * len(pairs)))
    return _summed(steps, max(frames.shape[1:3]), mask is None, changed, speeds, cuts)


def medians(motions: Sequence[ClipMotion]) -> tuple[float, float, float, float]:
    """Compute the medians over clips of speed, motion to the right and down, and growth."""
    rows = zip(*((one.speed, one.right, one.down, one.growth) for one in motions), strict=True)
    speed, right, down, growth = (median(row) for row in rows)
    return speed, right, down, growth


def _summed(
    steps: Sequence[Step], longer: int, whole: bool, changed: float, speeds: tuple[float, ...], cuts: tuple[int, ...]
) -> ClipMotion:
    speed = float(np.mean([step.speed for step in steps]))
    right, down = np.mean([step.middle for step in steps], axis=0).tolist()
    still = speed < EDGES[0] * longer
    return ClipMotion(
        speed,
        speed / longer,
        right,
        down,
        growth=float(np.mean([step.growth for step in steps])),
        fastest=float(np.mean([step.fastest for step in steps])),
        dynamics=changed,
        words="nowhere" if still else motion_words(steps, camera=whole),
        speeds=speeds,
        cuts=cuts,
    )


def _check(frames: Tensor, mask: Tensor | None) -> None:
    if frames.ndim != 4 or frames.shape[-1] != 3:
        raise MIVAError(f"A clip is (frames, height, width, 3), but this has the shape {tuple(frames.shape)}.")
    if len(frames) < 2:
        raise MIVAError("The clip is a single frame, and nothing moves in one: give two frames or more.")
    height, width = frames.shape[1:3]
    if min(height, width) < 2 * WINDOW:
        raise MIVAError(f"The clip is {width}×{height}: from {2 * WINDOW} pixels a side on its motion can be measured.")
    if mask is None:
        return
    if mask.ndim != 3 or len(mask) not in (1, len(frames)):
        masks = f"{len(mask)} masks" if mask.ndim == 3 else f"a mask of shape {tuple(mask.shape)}"
        raise MIVAError(
            f"There are {masks} for a clip of {len(frames)} frames: give one mask for each frame, or a single one for "
            "all."
        )
    size, own = (mask.shape[1], mask.shape[2]), (height, width)
    if not same_aspect(size, own):
        raise MIVAError(
            f"The mask is {format_size(size)} and the clip {format_size(own)}, which is another aspect: give a mask "
            "that was made for this clip."
        )
    if not (mask > 0.5).any():
        raise MIVAError("The mask is nowhere brighter than half, so it selects nothing: make it white on the subject.")
