"""Do masked adapters move their own subject and leave the rest alone, and is the mask they generate right?

    python -m benchmarks.mask_quality [--seeds 3] [--pictures 40] [--out benchmarks/results]

Writes mask_quality.md and contact sheets. Pictures and measures are those of `tiny_quality`, clips and masks as the
network paints them, by the latent route; the ideal masks are those of the drawn subjects.
"""

import argparse
import time
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import torch
from einops import rearrange
from torch import Tensor

from benchmarks.mask_stopping import iou, stopped_masks
from benchmarks.tiny_quality import AS_PAINTED, CANVAS, SPEED, held_out_pictures, subject_scores, swept, write_jpeg
from miva_core import Clip, MIVAAdapter, Motion, RunOptions, animate, load_base
from miva_core.animation.mask_guidance import mask_steps
from miva_core.bases.base import Base
from miva_core.bases.tiny.spec import SHIPPED
from miva_core.measure.metrics import clip_flow
from miva_core.media.contact_sheet import contact_sheet, frames_over_masks
from tools.procedural.scenes import SceneChoice, draw_scenes

MASKED = ("jump", "sway")
SHOWN = 4
STOP_IOU = 0.99
AWAY = 10
"""Pixels from a subject where its own motion no longer shows in the flow, which is computed over windows: nearer, even
the ideal clips' backgrounds seem to move."""


painted = partial(RunOptions, render="latents")
"""Options of a run by the latent route."""


@dataclass
class Scenes:
    """Ideal clips (N, F, H, W, 3) and what is seen of each of their subjects, (N, K, F, H, W)."""

    frames: Tensor
    masks: Tensor


def draw(pictures: Tensor, motions: tuple[str, ...], base: Base) -> Scenes:
    """A clip for each picture with a subject for each motion, apart from each other at all times."""
    count = len(pictures)
    choice = SceneChoice(
        moves=("still",),
        motions=motions[:1],
        others=motions[1:] or None,
        sprites=(0.0,) * len(motions) + (1.0,),
        subject_speed=(SPEED, SPEED),
    )
    generator = torch.Generator().manual_seed(8765)
    drawn = draw_scenes(20 * count, generator, choice, count, CANVAS, base.size[0], base.frames)
    masks = drawn.sprite_masks(*base.size)
    apart = [k for k, subjects in enumerate(masks) if torch.stack([swept(m, 1) for m in subjects]).sum(0).max() <= 1]
    drawn = replace(drawn, picture=torch.arange(20 * count) % count)
    chosen = [next(k for k in apart if k % count == n) for n in range(count)]
    clips, _ = drawn.render(pictures, *base.size)
    return Scenes(rearrange(clips[chosen], "b f c h w -> b f h w c"), masks[chosen])


def background_speed(clip: Tensor, masks: Tensor) -> float:
    """Mean absolute flow away from everything that subjects (K, F, H, W) ever cover, pixels a frame."""
    area = torch.stack([swept(mask, AWAY) for mask in masks]).any(0)
    return clip_flow(clip).norm(dim=-1)[:, ~area].mean().item()


@dataclass
class Single:
    """Clips of one subject: speed ratio, background speed, and the agreement of masks."""

    ratios: list[float] = field(default_factory=list)
    backgrounds: list[float] = field(default_factory=list)
    ious: list[list[float]] = field(default_factory=list)

    def add(self, clip: Tensor, truth: Tensor, mask: Tensor, generated: Tensor | None) -> None:
        self.ratios.append(subject_scores(clip, truth, mask)[0])
        self.backgrounds.append(background_speed(clip, mask[None]))
        if generated is not None:
            self.ious.append([iou(a, b) for a, b in zip(generated[1:], mask[1:], strict=True)])

    def row(self, name: str) -> str:
        ratios, ious = torch.tensor(self.ratios), torch.tensor(self.ious) if self.ious else None
        cells = [
            name,
            f"{(ratios > 0).float().mean() * 100:.0f} %",
            f"{ratios.median():.2f}",
            f"{torch.tensor(self.backgrounds).mean():.4f}",
            "" if ious is None else f"{ious[:, -1].mean():.3f}",
            "" if ious is None else f"{ious.mean():.3f}",
            "" if ious is None else f"{ious.mean(0).min():.3f}",
        ]
        return "| " + " | ".join(cells) + " |"


SINGLE = (
    "| clip | right direction | median speed ratio | background, mean flow in pixels a frame "
    "| mask IoU, last frame | all frames | worst frame |\n|---|---|---|---|---|---|---|"
)


def one_subject(base: Base, motion: str, pictures: Tensor, seeds: int, folder: Path, out: Path) -> list[str]:
    """The masked adapter beside the plain one, where there is one, on the same pictures and seeds."""
    scenes = draw(pictures, (motion,), base)
    still, ideal, plain, masked, linear = (Single() for _ in range(5))
    files = (SHIPPED / f"{motion}.safetensors", folder / f"{motion}_masked.safetensors")
    adapters = {path.stem: MIVAAdapter.load(path, base.backbone) for path in files if path.exists()}
    sheet = []
    for n, (truth, (mask,)) in enumerate(zip(scenes.frames, scenes.masks, strict=True)):
        still.add(truth[:1].expand_as(truth), truth, mask, mask[:1].expand_as(mask))
        ideal.add(truth, truth, mask, None)
        for seed in range(seeds):
            if motion in adapters:
                clip = animate(base, truth[0], [Motion(adapters[motion], name=motion)], painted(seed))
                plain.add(clip.frames, truth, mask, None)
            for row, readout in ((masked, "decoder"), (linear, "linear")):
                chosen = Motion(adapters[f"{motion}_masked"], mask=mask[0], name=motion)
                clip = animate(base, truth[0], [chosen], painted(seed, readout=readout))
                row.add(clip.frames, truth, mask, clip.masks[motion])
                if seed == 0 and row is masked and n % max(1, len(pictures) // SHOWN) == 0:
                    sheet.append((f"ideal, picture {n + 1}", frames_over_masks(truth, [mask])))
                    sheet.append((f"{motion}, masked", frames_over_masks(clip.frames, [clip.masks[motion]])))
    write_jpeg(contact_sheet(sheet, every=3), out / f"{motion}_masked.jpg")
    lines = [f"\n### {motion}\n", SINGLE, still.row("static copy, static mask"), ideal.row("ideal clip")]
    if plain.ratios:
        lines.append(plain.row("plain"))
    lines += [masked.row("**masked**, decoder reads masks"), linear.row("masked, linear read-out")]
    last = torch.tensor(masked.ious)[:, -1].mean()
    gates = [f"mask IoU at the last frame ≥ 0.8: {_met(last >= 0.8)}"]
    if plain.ratios:
        share = torch.tensor(masked.backgrounds).mean() / torch.tensor(plain.backgrounds).mean()
        gates.append(f"background flow {share:.2f} of the plain adapter's, ≤ 0.5: {_met(share <= 0.5)}")
    return [*lines, "", f"Gates: {'; '.join(gates)}."]


def two_subjects(base: Base, pictures: Tensor, seeds: int, folder: Path, out: Path) -> list[str]:
    """Two subjects, each bound to its own masked adapter."""
    scenes = draw(pictures, MASKED, base)
    adapters = {name: MIVAAdapter.load(folder / f"{name}_masked.safetensors", base.backbone) for name in MASKED}
    lines = [
        f"\n### {' and '.join(MASKED)} in one picture\n",
        f"| weights | {' | '.join(f'{n} its own way' for n in MASKED)} | both | median speed ratios | mask IoU, last |",
        "|---|---|---|---|---|---|",
    ]
    met = []
    for weight in (1.0, 0.5):
        ratios, ious, sheet = [], [], []
        for n, (truth, masks) in enumerate(zip(scenes.frames, scenes.masks, strict=True)):
            motions = [Motion(adapters[name], weight, mask[0], name) for name, mask in zip(MASKED, masks, strict=True)]
            for seed in range(seeds):
                clip = animate(base, truth[0], motions, painted(seed))
                ratios.append([subject_scores(clip.frames, truth, mask)[0] for mask in masks])
                pairs = zip(MASKED, masks, strict=True)
                ious.append([iou(clip.masks[name][-1], mask[-1]) for name, mask in pairs])
                if seed == 0 and n % max(1, len(pictures) // SHOWN) == 0:
                    sheet.append((f"ideal, picture {n + 1}", frames_over_masks(truth, list(masks))))
                    sheet.append((f"{weight} + {weight}", frames_over_masks(clip.frames, list(clip.masks.values()))))
        write_jpeg(contact_sheet(sheet, every=3), out / f"{'_'.join(MASKED)}_masked_{int(weight * 10):02d}.jpg")
        ratio = torch.tensor(ratios)
        right = (ratio > 0).float()
        cells = [*(f"{v * 100:.0f} %" for v in (*right.mean(0), right.prod(1).mean()))]
        cells.append(" / ".join(f"{v:.2f}" for v in ratio.median(0).values))
        cells.append(" / ".join(f"{v:.3f}" for v in torch.tensor(ious).mean(0)))
        lines.append(f"| {weight} / {weight} | " + " | ".join(cells) + " |")
        met.append(f"{_met(right.prod(1).mean() >= 0.9)} at {weight} / {weight}")
    return [*lines, "", f"Gate: both their own way in ≥ 90 %: {', '.join(met)}."]


def few_and_all_mask_steps(base: Base, pictures: Tensor, folder: Path) -> list[str]:
    """8 of 50 mask steps, paired with all 50 and with an early stop: time, masks and frames.

    The steps go all the way down to little noise: those that the base itself would make hardly differ.
    """
    scenes = draw(pictures, MASKED[:1], base)
    adapter = MIVAAdapter.load(folder / f"{MASKED[0]}_masked.safetensors", base.backbone)
    seconds: dict[str, list[float]] = {"eight": [], "all": [], "stopped": []}

    def run(kind: str, picture: Tensor, mask: Tensor, seed: int) -> Clip:
        chosen, motion = range if kind == "all" else mask_steps, Motion(adapter, mask=mask, name="jump")
        start = time.perf_counter()
        with (
            patch("miva_core.animation.run.mask_steps", chosen),
            stopped_masks(STOP_IOU) if kind == "stopped" else nullcontext(),
        ):
            clip = animate(base, picture, [motion], painted(seed, steps=50, scheduler=base.scheduler))
        seconds[kind].append(time.perf_counter() - start)
        return clip

    between_seeds = []
    ious: dict[str, list[float]] = {"all": [], "stopped": []}
    differences: dict[str, list[float]] = {"all": [], "stopped": []}
    for truth, (mask,) in zip(scenes.frames, scenes.masks, strict=True):
        eight = run("eight", truth[0], mask[0], seed=0)
        between_seeds.append(_difference(eight, run("eight", truth[0], mask[0], seed=1)))
        for kind in ious:
            other = run(kind, truth[0], mask[0], seed=0)
            ious[kind].append(iou(eight.masks["jump"][1:], other.masks["jump"][1:]))
            differences[kind].append(_difference(eight, other))
    times = {kind: torch.tensor(values).median().item() for kind, values in seconds.items()}
    of_seeds = sum(between_seeds) / len(between_seeds)
    lines = [
        f"\n### Runs of 50 steps down to little noise, {len(pictures)} clips\n",
        "| masks | seconds (median) | to 8 mask steps | mask IoU with 8, mean (least) | difference of frames |",
        "|---|---|---|---|---|",
        f"| at 8 steps | {times['eight']:.2f} | 1.00 | | {of_seeds:.5f} between two seeds |",
    ]
    for kind, name in (("all", "at all 50"), ("stopped", f"at 8 or fewer, until IoU {STOP_IOU}")):
        mean = sum(ious[kind]) / len(ious[kind])
        lines.append(
            f"| {name} | {times[kind]:.2f} | {times[kind] / times['eight']:.2f} | {mean:.3f} ({min(ious[kind]):.3f}) "
            f"| {sum(differences[kind]) / len(differences[kind]):.5f} |"
        )
    agree = sum(ious["all"]) / len(ious["all"])
    closer = sum(differences["all"]) < sum(between_seeds)
    gates = f"8 against 50: mask IoU ≥ 0.95: {_met(agree >= 0.95)}; frames closer than two seeds: {_met(closer)}"
    return [*lines, "", f"Gates: {gates}."]


def _difference(one: Clip, other: Clip) -> float:
    return (one.frames - other.frames)[1:].abs().mean().item()


def _met(holds: bool | Tensor) -> str:
    return "met" if holds else "**missed**"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--parts", nargs="*", default=[*MASKED, "two", "steps"])
    parser.add_argument("--adapters", type=Path, default=SHIPPED, help="folder of the masked adapters")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    base, pictures = load_base("tiny"), held_out_pictures(args.pictures)
    lines = [
        "# Masked adapters on the built-in base",
        f"\n{len(pictures)} held-out pictures, {args.seeds} seeds, the settings of `animate`, {AS_PAINTED}, masks "
        "likewise. A static mask already overlaps the ideal one where the subject returns or moves little; its row "
        f"says by how much. The background is what lies {AWAY} pixels or more from everything that the subject ever "
        "covers: nearer, the windows of optical flow see its motion, too.",
    ]
    for part in args.parts:
        if part == "two":
            lines += two_subjects(base, pictures, args.seeds, args.adapters, args.out)
        elif part == "steps":
            lines += few_and_all_mask_steps(base, pictures[: max(1, args.pictures // 2)], args.adapters)
        else:
            lines += one_subject(base, part, pictures, args.seeds, args.adapters, args.out)
        print("\n".join(lines), flush=True)
    (args.out / "mask_quality.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
