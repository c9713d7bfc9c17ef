"""Quality of a clip, by the measures of VBench, EvalCrafter and MiraMo that need no large models.

Flow is found by dense inverse search, where VBench and EvalCrafter use RAFT, and frames are interpolated along that of
Farneback's method, where VBench uses AMT: compare the numbers with each other, not with published ones.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ..adapters.degree import DegreeRange
from ..clips.camera import pixel_grid
from ..errors import MIVAError
from .clip_motion import ClipMotion
from .metrics import flow, psnr

Features = Callable[[Tensor], Tensor]
"""Computes features (F, D) of frames (F, H, W, 3) in [0, 1]."""


@dataclass(frozen=True)
class Measure:
    """A column of the table.

    Attributes:
        name: as people read it.
        unit: of its numbers, empty where there is none.
        meaning: what it measures.
    """

    name: str
    unit: str
    meaning: str


MEASURES: dict[str, Measure] = {
    "speed": Measure("speed", "px/frame", "mean length of the flow (EvalCrafter, flow score)"),
    "right": Measure("right", "px/frame", "median flow to the right"),
    "down": Measure("down", "px/frame", "median flow downwards"),
    "direction": Measure("direction", "°", "of the median flow: 0 to the right, 90 downwards"),
    "growth": Measure("growth", "%/frame", "how much larger what is seen gets"),
    "dynamic_degree": Measure(
        "dynamic degree", "px/frame", "mean of the fastest 5 % of the flow (VBench, before its threshold)"
    ),
    "dynamics": Measure("dynamics", "", "1 - mean MS-SSIM of neighbouring frames, 0 is still (MiraMo, Eq. 13)"),
    "bucket": Measure("bucket", "", "of motion, 0 to 19: the adapter's own if it knows degrees, otherwise by speed"),
    "smoothness": Measure("motion smoothness", "%", "agreement of every second frame with its interpolation (VBench)"),
    "flickering": Measure("temporal flickering", "%", "agreement of neighbouring frames (VBench)"),
    "fidelity": Measure("first-frame fidelity", "dB", "PSNR of the first frame to the picture"),
    "subject_consistency": Measure(
        "subject consistency", "%", "DINO features of frames against the one before and the first (VBench)"
    ),
    "background_consistency": Measure("background consistency", "%", "the same with CLIP features (VBench)"),
}


def evaluate(
    frames: Tensor,
    picture: Tensor,
    motion: ClipMotion,
    dino: Features | None = None,
    clip: Features | None = None,
    degree: DegreeRange | None = None,
) -> dict[str, float]:
    """Measure a clip.

    Args:
        frames: (F, H, W, 3) in [0, 1], at least three.
        picture: (H, W, 3) in [0, 1], from which the clip was made.
        motion: of the clip, see `measure_motion`.
        dino: computes DINO features, see `load_features`, for the consistency of the subject.
        clip: computes CLIP features, for the consistency of the background.
        degree: of the adapter that made the clip, for its own buckets.

    Returns:
        The value of each measure by its key in `MEASURES`; consistencies only where their features are there.

    Raises:
        MIVAError: the clip has less than three frames.
    """
    if len(frames) < 3:
        raise MIVAError(f"A clip of {len(frames)} frames cannot be evaluated: it needs at least three.")
    values = {
        "speed": motion.speed,
        "right": motion.right,
        "down": motion.down,
        "direction": math.degrees(math.atan2(motion.down, motion.right)) % 360,
        "growth": 100 * motion.growth,
        "dynamic_degree": motion.fastest,
        "dynamics": motion.dynamics,
        "bucket": motion.bucket(degree),
        "smoothness": motion_smoothness(frames),
        "flickering": temporal_flickering(frames),
        "fidelity": psnr(frames[0], picture),
    }
    for key, features in (("subject_consistency", dino), ("background_consistency", clip)):
        if features:
            values[key] = consistency(features(frames))
    return values


def temporal_flickering(frames: Tensor) -> float:
    """Compute the temporal flickering of a clip (F, H, W, 3) in [0, 1] (VBench).

    It is 100 (1 - the mean absolute difference of neighbouring frames). VBench leaves out still clips before.
    """
    return 100 * (1 - (frames[1:] - frames[:-1]).abs().mean().item())


def motion_smoothness(frames: Tensor) -> float:
    """Compute the motion smoothness of a clip (F, H, W, 3) in [0, 1] (VBench).

    It is 100 (1 - the mean absolute difference of frames 2, 4, … to the interpolation between their neighbours).
    """
    middles = [interpolate_middle(frames[i - 1], frames[i + 1]) for i in range(1, len(frames) - 1, 2)]
    return 100 * (1 - (torch.stack(middles) - frames[1 : len(frames) - 1 : 2]).abs().mean().item())


def interpolate_middle(before: Tensor, after: Tensor) -> Tensor:
    """Interpolate the frame halfway between two (H, W, 3): the mean of both, warped along half of the flow."""
    return (_warped(after, flow(before, after) / 2) + _warped(before, flow(after, before) / 2)) / 2


def _warped(frame: Tensor, displacement: Tensor) -> Tensor:
    """Sample a frame (H, W, 3) at its pixels displaced by (H, W, 2), x first."""
    height, width = frame.shape[:2]
    places = pixel_grid(height, width) + displacement
    places = places / torch.tensor([width / 2, height / 2])
    planes = rearrange(frame, "h w c -> 1 c h w")
    warped = F.grid_sample(planes, places[None], mode="bilinear", padding_mode="border", align_corners=False)
    return rearrange(warped, "1 c h w -> h w c")


def consistency(features: Tensor) -> float:
    """Compute the consistency of a clip from features (F, D) of its frames (VBench).

    It is 100 times the mean cosine similarity of each frame to the one before and to the first.
    """
    features = F.normalize(features.float(), dim=-1)
    to_previous = [(a @ b).clamp(min=0) for a, b in pairwise(features)]
    to_first = [(features[0] @ b).clamp(min=0) for b in features[1:]]
    return 100 * torch.stack([*to_previous, *to_first]).mean().item()


def medians(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Compute the median of each measure over clips; the direction is that of the median flow."""
    middle = {key: median(row[key] for row in rows) for key in rows[0]}
    middle["direction"] = math.degrees(math.atan2(middle["down"], middle["right"])) % 360
    return middle
