"""What a clip is worth, in the measures of VBench, EvalCrafter and MiraMo, so far as they need no model of their own.

Flow is by Farneback's method, where VBench and EvalCrafter take RAFT, and frames are interpolated along it, where
VBench takes AMT: numbers are to be compared among each other, not with published ones.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ..clips.camera import pixel_grid
from ..errors import MIVAError
from .metrics import clip_flow, flow, psnr
from .motion_statistics import motion_statistics
from .ms_ssim import dynamics_degree

Features = Callable[[Tensor], Tensor]
"""Frames (F, H, W, 3) in [0, 1] to features (F, D)."""


@dataclass(frozen=True)
class Measure:
    """A column of the table: its name, its unit, and what it is."""

    name: str
    unit: str
    meaning: str


MEASURES: dict[str, Measure] = {
    "flow": Measure("flow", "px/frame", "mean length of the flow (EvalCrafter, flow score)"),
    "right": Measure("right", "px/frame", "median flow to the right"),
    "down": Measure("down", "px/frame", "median flow downwards"),
    "direction": Measure("direction", "°", "of the median flow: 0 to the right, 90 downwards"),
    "growth": Measure("growth", "%/frame", "how much larger what is seen gets"),
    "dynamic_degree": Measure(
        "dynamic degree", "px/frame", "mean of the fastest 5 % of the flow (VBench, before its threshold)"
    ),
    "dynamics": Measure("dynamics degree", "", "mean MS-SSIM of neighbouring frames, 1 is still (MiraMo, Eq. 13)"),
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
    mask: Tensor | None = None,
    dino: Features | None = None,
    clip: Features | None = None,
) -> dict[str, float]:
    """All measures of a clip by their key in `MEASURES`; the last two only where their features are given.

    Args:
        frames: (F, H, W, 3) in [0, 1], at least three. picture: (H, W, 3), what the clip was made of.
        mask: (F, H, W) of the subject, to which the flow is then limited.
        dino, clip: feature extractors, see `features`.

    Raises:
        MIVAError: the clip has less than three frames.
    """
    if len(frames) < 3:
        raise MIVAError(f"A clip of {len(frames)} frames cannot be evaluated: it needs at least three.")
    moves = motion_statistics(frames, mask)
    values = {
        "flow": moves.speed,
        "right": moves.right,
        "down": moves.down,
        "direction": math.degrees(math.atan2(moves.down, moves.right)) % 360,
        "growth": 100 * moves.growth,
        "dynamic_degree": dynamic_degree(frames),
        "dynamics": dynamics_degree(frames),
        "smoothness": motion_smoothness(frames),
        "flickering": temporal_flickering(frames),
        "fidelity": psnr(frames[0], picture),
    }
    for key, features in (("subject_consistency", dino), ("background_consistency", clip)):
        if features:
            values[key] = consistency(features(frames))
    return values


def temporal_flickering(frames: Tensor) -> float:
    """100 (1 - the mean absolute difference of neighbouring frames) (VBench, which leaves out still clips first)."""
    return 100 * (1 - (frames[1:] - frames[:-1]).abs().mean().item())


def motion_smoothness(frames: Tensor) -> float:
    """100 (1 - the mean absolute difference of frames 2, 4, … to what lies between their neighbours) (VBench).

    What lies between is taken along half of the flow from either neighbour and averaged.
    """
    middles = [between(frames[i - 1], frames[i + 1]) for i in range(1, len(frames) - 1, 2)]
    return 100 * (1 - (torch.stack(middles) - frames[1 : len(frames) - 1 : 2]).abs().mean().item())


def between(before: Tensor, after: Tensor) -> Tensor:
    """The frame (H, W, 3) halfway between two, along the flow from either."""
    halves = [_warped(after, flow(before, after) / 2), _warped(before, flow(after, before) / 2)]
    return sum(halves) / 2


def _warped(frame: Tensor, displacement: Tensor) -> Tensor:
    """A frame (H, W, 3) as it is seen at places that are displaced (H, W, 2), in pixels."""
    height, width = frame.shape[:2]
    places = pixel_grid(height, width) + displacement
    places = places / torch.tensor([width / 2, height / 2])
    planes = rearrange(frame, "h w c -> 1 c h w")
    warped = F.grid_sample(planes, places[None], mode="bilinear", padding_mode="border", align_corners=False)
    return rearrange(warped, "1 c h w -> h w c")


def dynamic_degree(frames: Tensor) -> float:
    """Mean flow of the fastest 5 % of the pixels of each frame, averaged over the clip (VBench)."""
    speeds = clip_flow(frames).norm(dim=-1).flatten(1)
    count = max(1, int(0.05 * speeds.shape[1]))
    return speeds.topk(count, dim=1).values.mean().item()


def consistency(features: Tensor) -> float:
    """100 times the mean similarity of each frame's features (F, D) to the frame before and to the first (VBench)."""
    features = F.normalize(features.float(), dim=-1)
    near = [(a @ b).clamp(min=0) for a, b in pairwise(features)]
    far = [(features[0] @ b).clamp(min=0) for b in features[1:]]
    return 100 * torch.stack([*near, *far]).mean().item()


def medians(rows: list[Mapping[str, float]]) -> dict[str, float]:
    """The median of each measure; of directions, that of the median flow."""
    middle = {key: median(row[key] for row in rows) for key in rows[0]}
    middle["direction"] = math.degrees(math.atan2(middle["down"], middle["right"])) % 360
    return middle
