"""Does a degree make a shipped camera motion as fast as its file says, on pictures it has never seen?

    python -m benchmarks.degree [--seeds 3] [--pictures 40] [--out benchmarks/results] [pan_left …]

Writes degree.md. Speeds are those of clips as the network paints them, by the latent route, measured by Farneback's
method relative to the ideal clip of the same picture; the pictures and measures are those of `tiny_quality`.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor

from benchmarks.tiny_quality import SCALE, SPEED, Ideal, camera_speed, held_out_pictures
from miva_core import MIVAAdapter, Motion, RunOptions, animate, load_base
from miva_core.adapters.degree import DegreeRange
from miva_core.bases.base import Base
from miva_core.bases.tiny.spec import SHIPPED
from miva_core.clips.camera import UNIT_MOVES, film, move_transforms
from miva_core.measure.metrics import psnr

STOPS = (0.0, 0.25, 0.5, 0.75, 1.0)
FRAME = 8
"""At which clips are compared with ideal ones."""
HEADER = (
    "| motion | px a frame of the file, degree 0 to 1 | as trained | "
    + " | ".join(f"{stop:g}" for stop in STOPS)
    + " | in order | fastest : slowest | mean error |\n"
    + "|---" * (len(STOPS) + 6)
    + "|"
)


@dataclass(frozen=True)
class Stop:
    """What clips at one degree did.

    Attributes:
        asked: speed in units of the motion's own.
        speeds: (clips,) what they reached, likewise.
        level: mean PSNR at `FRAME` to the ideal clip of the asked speed, dB.
    """

    asked: float
    speeds: Tensor
    level: float

    def __str__(self) -> str:
        return f"{self.asked:.2f} → {self.speeds.mean():.2f} ({self.level:.1f} dB)"


def ideal(pictures: Tensor, move: str, speed: float, base: Base) -> Ideal:
    transforms = move_transforms(UNIT_MOVES[move], speed, base.frames).expand(len(pictures), -1, -1, -1)
    clips = film(pictures.float() / 255, transforms, *base.size, scale=SCALE)
    return Ideal(rearrange(clips, "b f c h w -> b f h w c"))


def measure_stop(
    base: Base, adapter: MIVAAdapter, move: str, degree: float | None, pictures: Tensor, seeds: int
) -> Stop:
    """Clips of all pictures and seeds at a degree; None is as trained."""
    known, speed = adapter.degree, camera_speed(move)
    assert isinstance(known, DegreeRange)
    asked = SPEED * known.speed(degree) / known.speed()
    wanted = ideal(pictures, move, asked, base).frames
    unit = [speed(clip) / SPEED for clip in ideal(pictures, move, SPEED, base).frames]
    speeds, levels = [], []
    for seed in range(seeds):
        for truth, one in zip(wanted, unit, strict=True):
            motion = Motion(adapter, name=move, degree=degree)
            clip = animate(base, truth[0], [motion], RunOptions(seed, render="latents")).frames
            speeds.append(speed(clip) / one)
            levels.append(psnr(clip[FRAME - 1], truth[FRAME - 1]))
    return Stop(asked, torch.tensor(speeds), sum(levels) / len(levels))


def row(base: Base, move: str, pictures: Tensor, seeds: int) -> tuple[str, list[float]]:
    """A line of the table; and the share of neighbours in order, fastest : slowest and the mean error."""
    adapter = MIVAAdapter.load(SHIPPED / f"{move}.safetensors", base.backbone)
    known = adapter.degree
    assert isinstance(known, DegreeRange)
    usual, *stops = (measure_stop(base, adapter, move, degree, pictures, seeds) for degree in (None, *STOPS))
    speeds = torch.stack([stop.speeds for stop in stops])
    in_order = (speeds.diff(dim=0) > 0).float().mean().item()
    ratio = (speeds[-1].mean() / speeds[0].mean()).item()
    errors = torch.cat([(stop.speeds / stop.asked - 1).abs() for stop in stops])
    cells = [
        move,
        f"{known.speeds[0]:.2f} to {known.speeds[-1]:.2f}, usual {known.speed():.2f} at {known.usual:.2f}",
        *map(str, (usual, *stops)),
        f"{in_order:.0%}",
        f"{ratio:.1f}",
        f"{errors.mean():.1%}",
    ]
    return "| " + " | ".join(cells) + " |", [in_order, ratio, errors.mean().item()]


def verdict(numbers: Tensor) -> str:
    """Which gates all motions meet; numbers (motions, 3)."""
    gates = {
        "neighbouring stops in order on ≥ 95 %": numbers[:, 0].min() >= 0.95,
        "fastest ≥ 3 × slowest": numbers[:, 1].min() >= 3,
        "mean error ≤ 15 % of the asked speed": numbers[:, 2].max() <= 0.15,
    }
    return "Gates, of every motion: " + "; ".join(f"{k}: {'met' if met else '**missed**'}" for k, met in gates.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("motions", nargs="*", help="camera motions (default: all that are shipped)")
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    start = time.time()
    base, pictures = load_base("tiny"), held_out_pictures(args.pictures)
    moves = args.motions or [path.stem for path in sorted(SHIPPED.glob("*.safetensors")) if path.stem in UNIT_MOVES]
    lines = [
        "# Degrees of the shipped camera motions",
        f"\n{len(pictures)} held-out pictures, seeds: {args.seeds}. Cells of degrees: speed asked for → mean of the "
        f"speeds reached, {SPEED} being the motion's usual one, and PSNR at frame {FRAME} to the ideal clip of the "
        "asked speed.\n",
        HEADER,
    ]
    numbers = []
    for move in moves:
        line, found = row(base, move, pictures, args.seeds)
        print(line, f"{time.time() - start:.0f} s", flush=True)
        lines.append(line)
        numbers.append(found)
    lines += ["", verdict(torch.tensor(numbers)) + "."]
    (args.out / "degree.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(lines[-1])


if __name__ == "__main__":
    main()
