"""What adapters of the built-in MiraMo learn that no word of it says, and how soon.

    python -m benchmarks.miramo_adapters [--checkpoint OUT/ema.pt] [--only spiral …] [--out benchmarks/results]

Trains motions from the 20 stills of the example as `miva train --base miramo` does, by its recipe: a spiral and a
diagonal pan, which are camera moves; and a vortex, which turns what a mask marks, with that mask as the adapter's
guide. Their flow on pictures that no training has seen is compared with the exact one. Times are CPU seconds of one
thread, of the whole training: clips, encoding and steps. Writes miramo_adapters.md and miramo_adapters.jpg.
"""

import argparse
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from benchmarks.miramo_base import chosen_base
from benchmarks.tiny_quality import held_out_pictures
from miva_core import MIVAAdapter, inject
from miva_core.bases.base import Base
from miva_core.bases.guide import Guide
from miva_core.bases.model_predictor import ModelPredictor
from miva_core.clips.camera import CameraMove, apply_affine, move_transforms, pixel_grid
from miva_core.clips.stills import read_stills
from miva_core.clips.training_clip import TrainingClip
from miva_core.media.flow_warp import warp
from miva_core.media.pixel_values import to_bytes
from miva_core.training.loop import train
from miva_core.training.options import TrainOptions
from miva_core.training.recipes import recipe
from miva_core.training.training_set import TrainingSet

STILLS = Path(__file__).parents[1] / "workflows/pictures/miva_stills"
CLIPS_PER_STILL = 5
VORTEX_REACH = 14.0
"""Standard deviation of the soft disc that turns, in pixels."""
VORTEX_TURN = math.radians(4)
"""A frame, in the middle of the disc."""
SHOWN = (0, 3, 6, 9, 12, 15)
"""Frames on the sheet."""

Sources = Callable[[Tensor, float, Tensor], Tensor]
"""From places (H, W, 2) off the centre of the frame, a time and the place (2,) of what moves to places of frame 1."""


@dataclass(frozen=True)
class Task:
    """A motion that is learnt.

    Attributes:
        name: what it is called.
        what: in words.
        sources: its backward map.
        masked: whether it moves a part of the picture, and is guided by the mask of that.
        budget: CPU seconds that its training may take.
        gate: what is asked of it, in words.
        steps: of its training; None for those of the recipe.
    """

    name: str
    what: str
    sources: Sources
    masked: bool
    budget: float
    gate: str
    steps: int | None = None


def camera(move: CameraMove) -> Sources:
    """The backward map of a camera move, at any time."""

    def sources(places: Tensor, at: float, centre: Tensor) -> Tensor:
        per_frame = replace(move, pan=(move.pan[0] * at, move.pan[1] * at), zoom=move.zoom * at, roll=move.roll * at)
        return apply_affine(move_transforms(per_frame, 1.0, 2)[0, 1], places)

    return sources


def disc(places: Tensor, centre: Tensor) -> Tensor:
    """A soft disc around a place: 1 in its middle."""
    return torch.exp(-(places - centre).square().sum(-1) / (2 * VORTEX_REACH**2))


def vortex(places: Tensor, at: float, centre: Tensor) -> Tensor:
    """Turn what a soft disc marks by an angle that falls off with it, which no affine map does."""
    angle = VORTEX_TURN * at * disc(places, centre)
    x, y = (places - centre).unbind(-1)
    return centre + torch.stack([angle.cos() * x - angle.sin() * y, angle.sin() * x + angle.cos() * y], -1)


TASKS = (
    Task(
        "spiral",
        "zoom in by 2 % and roll by 1.4° a frame",
        camera(CameraMove(zoom=0.02, roll=math.radians(1.4))),
        masked=False,
        budget=120.0,
        gate="relative error ≤ 0.1",
    ),
    Task(
        "diagonal",
        "pan by 0.7 pixels to the right and 0.6 up a frame",
        camera(CameraMove(pan=(0.7, -0.6))),
        masked=False,
        budget=120.0,
        gate="relative error ≤ 0.1",
    ),
    Task(
        "vortex",
        "turn a soft disc, by 4° a frame in its middle",
        vortex,
        masked=True,
        budget=300.0,
        gate="speed ≥ 0.7",
        steps=240,
    ),
)


# --- clips -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Filmed:
    """A clip: frames (F, 3, H, W) in [0, 1], flow to the first (F, 3, H, W) with trust, and the guide (H, W)."""

    frames: Tensor
    flow: Tensor
    guide: Tensor


def filmed(picture: Tensor, task: Task, frames: int, size: tuple[int, int], generator: torch.Generator) -> Filmed:
    """Film a random part of a picture (3, H, W) in [0, 1] by a task's motion, half as large as it may be at least."""
    room = min(picture.shape[1] / size[0], picture.shape[2] / size[1])
    scale = room * (0.5 + 0.2 * torch.rand(1, generator=generator).item())
    slack = torch.tensor([picture.shape[2] - size[1] * scale, picture.shape[1] - size[0] * scale])
    aim = (torch.rand(2, generator=generator) - 0.5) * slack * 0.6
    centre = 24 * (torch.rand(2, generator=generator) - 0.5) if task.masked else torch.zeros(2)
    grid, fine = pixel_grid(*size), pixel_grid(2 * size[0], 2 * size[1]) / 2
    half = torch.tensor([picture.shape[2], picture.shape[1]]) / 2
    shown, flows = [], []
    for k in range(frames):
        places = (task.sources(fine, float(k), centre) * scale + aim) / half
        drawn = F.grid_sample(picture[None], places[None], padding_mode="reflection", align_corners=False)
        shown.append(F.avg_pool2d(drawn, 2)[0])
        flows.append((task.sources(grid, float(k), centre) - grid).movedim(-1, 0))
    flow = torch.stack(flows)
    guide = disc(grid, centre) if task.masked else torch.zeros(size)
    return Filmed(torch.stack(shown).clamp(0, 1), torch.cat([flow, torch.ones_like(flow[:, :1])], 1), guide)


def small(picture: Tensor, side: int = 160) -> Tensor:
    """A picture (H, W, 3) as (3, h, w) with a shorter side of this many pixels."""
    factor = side / min(picture.shape[:2])
    return F.interpolate(
        rearrange(picture, "h w c -> 1 c h w"), scale_factor=factor, mode="bilinear", antialias=True
    ).clamp(0, 1)[0]


def training_set(task: Task, base: Base) -> TrainingSet:
    """Clips over the stills of the example."""
    generator, clips = torch.Generator().manual_seed(0), []
    for name, picture in read_stills(STILLS, 160):
        for k in range(CLIPS_PER_STILL):
            clip = filmed(small(picture), task, base.frames, base.size, generator)
            masks = to_bytes(clip.guide).expand(1, base.frames, -1, -1)
            masks = masks if task.masked else masks[:0]
            clips.append(TrainingClip(f"{name}_{k + 1}", to_bytes(clip.frames), masks, flow=clip.flow))
    return TrainingSet(task.name, clips, guide="mask" if task.masked else "")


# --- training and measuring ------------------------------------------------------------------------------------------


def trained(task: Task, base: Base, steps: int | None) -> tuple[MIVAAdapter, float, int]:
    """An adapter, the CPU seconds that it took, and its steps."""
    start, learnt = time.process_time(), training_set(task, base)
    chosen = recipe(base.name)
    chosen = replace(chosen, steps=steps or task.steps or chosen.steps)
    chosen = chosen.with_guide(learnt.guide) if learnt.guide else chosen
    clips = learnt.encode(base, chosen.colours, seed=0)
    print(f"{task.name}: {len(clips)} clips after {time.process_time() - start:.0f} CPU s", flush=True)

    def show(progress) -> None:  # type: ignore[no-untyped-def]
        if progress.step % 25 == 0:
            mean = sum(progress.losses[-25:]) / 25
            print(f"step {progress.step} loss {mean:.3f} {time.process_time() - start:.0f} CPU s", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        options = TrainOptions(seed=0, save_every=10**6)
        outcome = train(base, clips, chosen, folder=Path(folder), options=options, callback=show)
    return outcome.adapter, time.process_time() - start, chosen.steps


@torch.no_grad()
def answered(base: Base, adapter: MIVAAdapter | None, clips: Sequence[Filmed], seed: int) -> Tensor:
    """The flow (B, F, 2, H, W) that the base answers of the first frames of clips, from noise alone."""
    generator = torch.Generator().manual_seed(seed)
    first = torch.cat([base.encode(clip.frames[0].movedim(0, -1)) for clip in clips])
    noise = torch.randn(len(clips), first.shape[1], base.frames - 1, *first.shape[-2:], generator=generator)
    maps = torch.stack([clip.guide for clip in clips])
    guide = Guide(maps, ["mask" if guided else "" for guided in maps.flatten(1).any(1).tolist()])
    predictor = replace(ModelPredictor.of(base), guide=guide)
    inputs, t = torch.cat([first, first + noise], 2), torch.tensor(999.0)
    if adapter is None:
        flow = predictor.predict(inputs, t).flow
    else:
        with inject(base.model, motion=adapter):
            flow = predictor.predict(inputs, t).flow
    assert flow is not None
    return flow


@dataclass(frozen=True)
class Score:
    """`error`, `size` in pixels over what moves, `right` share and `speed`, see `INTRODUCTION`; (clips,) each."""

    error: Tensor
    size: Tensor
    speed: Tensor
    leak: Tensor

    def row(self) -> str:
        relative = self.error.mean() / self.size.mean()
        right = (self.speed > 0.1).float().mean()
        return (
            f"{self.error.mean():.2f} / {self.size.mean():.2f} = **{relative:.2f}** | {100 * right:.0f} % | "
            f"{self.speed.mean():.2f} ({self.speed.std():.2f}) | {self.leak.mean():.2f}"
        )


def score(flow: Tensor, clips: Sequence[Filmed]) -> Score:
    """Compare flows (B, F, 2, H, W) with exact ones."""
    true = torch.stack([clip.flow[:, :2] for clip in clips])
    guides = torch.stack([clip.guide for clip in clips])
    inside = torch.where(guides.flatten(1).any(1)[:, None, None], guides > 0.1, True)[:, None].float()
    distance, length = (flow - true).norm(dim=2)[:, 1:], true.norm(dim=2)[:, 1:]

    def mean(values: Tensor, weights: Tensor) -> Tensor:
        return (values * weights).sum((1, 2, 3)) / (weights.sum((2, 3)) * values.shape[1]).sum(1).clamp(min=1)

    weights = inside[:, :, None]
    speed = (flow * true * weights).sum((1, 2, 3, 4)) / (true.square() * weights).sum((1, 2, 3, 4))
    return Score(mean(distance, inside), mean(length, inside), speed, mean(distance, 1 - inside))


def held_out(task: Task, base: Base, count: int, seed: int) -> list[Filmed]:
    """Clips over pictures that no training has seen."""
    generator = torch.Generator().manual_seed(100 + seed)
    pictures = held_out_pictures(count).float() / 255
    return [filmed(small(picture.movedim(0, -1)), task, base.frames, base.size, generator) for picture in pictures]


def measured(task: Task, base: Base, adapter: MIVAAdapter | None, count: int, seeds: int) -> Score:
    """Scores over pictures and seeds."""
    parts = []
    for seed in range(seeds):
        clips = held_out(task, base, count, seed)
        for start in range(0, count, 8):
            some = clips[start : start + 8]
            parts.append(score(answered(base, adapter, some, seed), some))
    return Score(*(torch.cat([getattr(part, name) for part in parts]) for name in ("error", "size", "speed", "leak")))


def sheet_rows(task: Task, base: Base, adapter: MIVAAdapter) -> list[Tensor]:
    """Two pictures as the adapter moves them, and below each how they should move: (H, W, 3) uint8 each."""
    clips, rows = held_out(task, base, 8, 0)[3:5], []
    for clip, flow in zip(clips, answered(base, adapter, clips, 0), strict=True):
        first = clip.frames[:1].expand(base.frames, -1, -1, -1)
        for frames in (warp(first, flow), clip.frames):
            shown = F.interpolate(frames[list(SHOWN)], scale_factor=2, mode="bilinear").clamp(0, 1)
            rows.append(to_bytes(rearrange(shown, "f c h w -> h (f w) c")))
    return rows


INTRODUCTION = """# Adapters of the built-in MiraMo

`python -m benchmarks.miramo_adapters`: motions that no word says, learnt from 20 stills as by `miva train --base
miramo`, with the flow of the clips as they are filmed. Measured on {count} held-out pictures, {seeds} seeds, one step
from noise alone: the end-point error in pixels of the small frame over what moves, beside the mean length of the true
flow and as a share of it; how many clips go the right way; the speed (1 as it should be, in brackets its standard
deviation); and the error where nothing should move. CPU seconds are of one thread, and those of the clips and their
encoding are among them.

| motion | steps | CPU s | | error / motion | right way | speed | beside |
|---|---|---|---|---|---|---|---|"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, help="ema.pt of a training of the base, in place of what ships")
    parser.add_argument("--only", nargs="+", choices=[task.name for task in TASKS])
    parser.add_argument("--steps", type=int, help="instead of each motion's")
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    base = chosen_base(args.checkpoint)
    lines, rows = [INTRODUCTION.format(count=args.pictures, seeds=args.seeds)], []
    for task in TASKS:
        if args.only and task.name not in args.only:
            continue
        before = measured(task, base, None, args.pictures, 1)
        adapter, seconds, steps = trained(task, base, args.steps)
        after = measured(task, base, adapter, args.pictures, args.seeds)
        lines.append(f"| {task.name}: {task.what} | 0 | | | {before.row()} |")
        lines.append(f"| | {steps} | {seconds:.0f} of {task.budget:.0f} | {task.gate} | {after.row()} |")
        print("\n".join(lines[-2:]), flush=True)
        rows += sheet_rows(task, base, adapter)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "miramo_adapters.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    picture = torch.cat(rows).numpy()[..., ::-1]
    cv2.imwrite(str(args.out / "miramo_adapters.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 70])


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
