"""How long clips take from starting Python, and how much memory; and the rendering alone."""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from benchmarks.full_size.pictures import SIDE
from benchmarks.full_size.runs import denoised, shipped, staged
from benchmarks.full_size.tables import gates, header, row
from miva_core import Motion
from miva_core.bases.base import Base
from tools.procedural.backdrops import paint_backdrops

ROOT = Path(__file__).parents[2]
SMALL, LARGE = ("512x512", 8, 16), ("1920x1080", 24, 48)
"""Size, frames a second and frames of clips of two seconds."""
MOTIONS = ("pan_left", "jump_masked")

_PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
"""Runs a command, and prints the peak of its memory."""


@dataclass(frozen=True)
class Cost:
    """Seconds and MiB at the most of a process."""

    seconds: float
    memory: float


def times_section(base: Base) -> list[str]:
    lines, costs = [], {}
    with tempfile.TemporaryDirectory() as folder:
        write_material(Path(folder))
        for clip in (SMALL, LARGE):
            for motion in MOTIONS:
                costs[clip, motion] = command_cost(Path(folder), clip, motion)
                lines.append(cost_row(f"`miva animate`, {motion}", clip, costs[clip, motion]))
                print(lines[-1], flush=True)
    rendering = {motion: rendering_seconds(base, motion) for motion in MOTIONS}
    lines += [row([f"rendering alone, {m}", "512×512", "16", f"{s:.1f}", ""]) for m, s in rendering.items()]
    met = {
        "512×512 within 10 s": all(costs[SMALL, motion].seconds <= 10 for motion in MOTIONS),
        "its rendering within 1.5 s": all(seconds <= 1.5 for seconds in rendering.values()),
        "1920×1080 within 40 s": all(costs[LARGE, motion].seconds <= 40 for motion in MOTIONS),
        "at most 2 GB": all(cost.memory <= 2e9 / 2**20 for cost in costs.values()),
    }
    return [
        f"{os.cpu_count()} cores, no card; from starting Python to the finished mp4, of a picture of 1920×1080.\n",
        header("what", "size", "frames", "seconds", "peak memory, MiB"),
        *lines,
        "",
        gates(met),
    ]


def cost_row(what: str, clip: tuple[str, int, int], cost: Cost) -> str:
    size, _, frames = clip
    return row([what, size.replace("x", "×"), str(frames), f"{cost.seconds:.1f}", f"{cost.memory:.0f}"])


def painted_picture() -> Tensor:
    """(1080, 1920, 3) in [0, 1]."""
    return rearrange(paint_backdrops(1, 1920, seed=987_654)[0, :, :1080], "c h w -> h w c").float() / 255


def ellipse(height: int, width: int) -> Tensor:
    """(H, W): a mask of a subject in the middle."""
    mask = np.zeros((height, width), np.uint8)
    cv2.ellipse(mask, (width // 2, height // 2), (height // 6, height // 4), 0, 0, 360, 255, -1)
    return torch.from_numpy(mask / np.float32(255))


def write_material(folder: Path) -> None:
    """The picture and the mask that the command is given."""
    cv2.imwrite(str(folder / "picture.png"), (painted_picture().numpy()[..., ::-1] * 255).round().astype(np.uint8))
    cv2.imwrite(str(folder / "mask.png"), (ellipse(1080, 1920).numpy() * 255).astype(np.uint8))


def command_cost(folder: Path, clip: tuple[str, int, int], motion: str) -> Cost:
    """What one clip by the command line costs."""
    size, fps, frames = clip
    masks = ["--mask", f"{motion}={folder / 'mask.png'}"] if motion.endswith("_masked") else []
    out = folder / f"{motion}_{size}.mp4"
    command = [sys.executable, "-m", "miva_core", "animate", str(folder / "picture.png"), "--miva", motion, *masks]
    command += ["--size", size, "--fps", str(fps), "--frames", str(frames), "--out", str(out)]
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    start = time.perf_counter()
    # A process counts as its own peak what the one that started it held: so that one is a small one.
    run = subprocess.run(
        [sys.executable, "-c", _PEAK, *command], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    seconds = time.perf_counter() - start
    if run.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {run.stderr}")
    # Told in bytes on macOS, in KiB elsewhere.
    return Cost(seconds, int(run.stdout) / (2**20 if sys.platform == "darwin" else 2**10))


def rendering_seconds(base: Base, motion: str) -> float:
    """Of all frames at 512×512, once the flow is known; the second time, when all is loaded."""
    picture = painted_picture()[:SIDE, :SIDE]
    masks = {motion: ellipse(SIDE, SIDE)} if motion.endswith("_masked") else {}
    clip = denoised(base, picture, Motion(shipped(base, motion), mask=masks.get(motion), name=motion), 0)
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        for _frame in staged(picture, clip.flow, masks):
            pass
        seconds.append(time.perf_counter() - start)
    return seconds[-1]
