"""Does Measure Motion find the true speed of clips, whatever they show and however large they are?

    python -m benchmarks.measure_motion [--pictures 40] [--out benchmarks/results]

Writes measure_motion.md. Held-out pictures are filmed by all camera moves at speeds that differ by up to 60 times, in
frames of several sizes; the true speed of each clip is the mean length of the exact flow. Beside the speed as it is
measured stand 1 - MS-SSIM and the mean flow by Farneback's method.
"""

import argparse
import itertools
import math
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.tiny_quality import held_out_pictures
from miva_core.clips.camera import UNIT_MOVES, affine_flow, film, move_transforms
from miva_core.measure.clip_motion import measure_motion
from miva_core.measure.metrics import clip_flow

SIZES = ((64, 64), (320, 512), (680, 1024))
"""(height, width) of frames."""
SLOWEST, FASTEST = 0.0005, 0.03
"""Speeds, as shares of the longer side a frame."""
FRAMES, CLIPS = 4, 120
"""Of each size."""
NOISE = (0.0, 0.01, 0.02, 0.05)
MARGIN = 1.3
"""Picture pixels per frame pixel, so that cameras have room."""
TIMED = ((320, 512), (680, 1024), (1080, 1920))


@dataclass(frozen=True)
class Found:
    """A clip's true speed, in pixels a frame, and what was found of it."""

    true: float
    speed: float
    dynamics: float
    farneback: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    pictures = held_out_pictures(options.pictures, 192).float() / 255
    lines = [
        "# Measure Motion",
        "",
        "`python -m benchmarks.measure_motion`. "
        f"{CLIPS} clips of each size, of {len(pictures)} held-out pictures filmed by the eight camera moves, at "
        f"{SLOWEST:.2%} to {FASTEST:.0%} of the longer side a frame. Spearman's rank correlation with the exact mean "
        "flow, and measured speed over true speed.",
        "",
        "| frames | speed | its ratio to the truth, 10 … 90 % of clips | 1 − MS-SSIM | mean flow by Farneback |",
        "|---|---|---|---|---|",
        *(accuracy(pictures, size) for size in SIZES),
        "",
        "Still clips of 512×320 with noise of a standard deviation of …, which are measured as pixels a frame:",
        "",
        f"| noise | {' | '.join(f'{noise:g}' for noise in NOISE)} |",
        f"|---|{'---|' * len(NOISE)}",
        f"| speed | {' | '.join(f'{stillness(pictures[:8], noise):.3f}' for noise in NOISE)} |",
        "",
        f"Pairs of pictures that have nothing to do with each other, told as cuts: {cuts(pictures[:24]):.1%}.",
        "",
        f"Seconds of the processor for 16 frames, one thread ({platform.machine()}):",
        "",
        f"| {' | '.join(f'{width}×{height}' for height, width in TIMED)} |",
        "|" + "---|" * len(TIMED),
        f"| {' | '.join(f'{seconds(pictures[:1], size):.2f}' for size in TIMED)} |",
    ]
    (options.out / "measure_motion.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def accuracy(pictures: Tensor, size: tuple[int, int]) -> str:
    found = [measured(pictures[k % len(pictures)], size, k) for k in range(CLIPS)]
    true = [one.true for one in found]
    ratios = np.quantile([one.speed / one.true for one in found], [0.1, 0.9])
    ranks = [spearman(true, [getattr(one, name) for one in found]) for name in ("speed", "dynamics", "farneback")]
    print(size, ranks, flush=True)
    cells = f"{ranks[0]:.4f}", f"{ratios[0]:.2f} … {ratios[1]:.2f}", f"{ranks[1]:.3f}", f"{ranks[2]:.3f}"
    return f"| {size[1]}×{size[0]} | {' | '.join(cells)} |"


def measured(picture: Tensor, size: tuple[int, int], number: int) -> Found:
    """Film a clip; the number chooses its move and speed."""
    move = UNIT_MOVES[tuple(name for name in UNIT_MOVES if name != "still")[number % 8]]
    share = SLOWEST * (FASTEST / SLOWEST) ** ((number * 0.618034) % 1)
    exact = affine_flow(move_transforms(move, 1.0, 2), *size).norm(dim=-1).mean().item()
    transforms = move_transforms(move, share * max(size) / exact, FRAMES)
    clip = filmed(picture, size, transforms)
    true = affine_flow(transforms, *size).norm(dim=-1).mean().item()
    motion = measure_motion(clip)
    return Found(true, motion.speed, motion.dynamics, clip_flow(clip).norm(dim=-1).mean().item())


def filmed(picture: Tensor, size: tuple[int, int], transforms: Tensor) -> Tensor:
    """(F, H, W, 3) of a picture (3, h, w) that is enlarged to cover frames of a size."""
    scale = MARGIN * max(size) / min(picture.shape[-2:])
    large = F.interpolate(picture[None], scale_factor=max(scale, 1.0), mode="bicubic").clamp(0, 1)
    return film(large, transforms, *size, scale=max(1 / scale, 1.0))[0].permute(0, 2, 3, 1).contiguous()


def stillness(pictures: Tensor, noise: float) -> float:
    generator, speeds = torch.Generator().manual_seed(0), []
    for picture in pictures:
        clip = filmed(picture, (320, 512), move_transforms(UNIT_MOVES["still"], 1.0, 3))
        noisy = clip + noise * torch.randn(clip.shape, generator=generator)
        speeds.append(measure_motion(noisy.clamp(0, 1)).speed)
    return sum(speeds) / len(speeds)


def cuts(pictures: Tensor) -> float:
    """The share of pairs of unlike pictures that are told as cuts, each behind two frames that are alike."""
    shots = [picture.permute(1, 2, 0)[None] for picture in pictures]
    pairs = list(itertools.combinations(shots, 2))
    told = [measure_motion(torch.cat([first, first, second])).cuts == (3,) for first, second in pairs]
    return sum(told) / len(told)


def seconds(pictures: Tensor, size: tuple[int, int]) -> float:
    clip = filmed(pictures[0], size, move_transforms(UNIT_MOVES["pan_left"], 2.0, 16))
    started = time.process_time()
    measure_motion(clip)
    return time.process_time() - started


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    ranks = [np.argsort(np.argsort(values)) for values in (a, b)]
    correlation = float(np.corrcoef(*ranks)[0, 1])
    assert math.isfinite(correlation)
    return correlation


if __name__ == "__main__":
    main()
