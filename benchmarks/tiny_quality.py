"""Does the built-in base move pictures it has never seen, the way each shipped adapter says?

    python benchmarks/tiny_quality.py [--seeds 3] [--pictures 40] [--out benchmarks/results]

Writes tiny_quality.md (the table) and one contact sheet per adapter. Every number is of the clip a user gets: decoded,
against the ideal clip rendered from the same picture, flow by Farneback on both. Pictures are 28 held-out photographs
and painted backgrounds of unseen seeds; subjects are drawn sprites, since their exact mask must be known.
"""

import argparse
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from miva_core import MIVAAdapter, inject, load_base
from miva_core.backdrops import paint_backdrops
from miva_core.base import Base
from miva_core.camera import UNIT_MOVES, film, move_transforms
from miva_core.init_noise import NoiseInit, adain
from miva_core.library import SHIPPED
from miva_core.metrics import clip_flow, expansion, median_flow, psnr
from miva_core.pictures import read_picture
from miva_core.procedural import SceneChoice, draw_scenes
from miva_core.sampling import prepare_scheduler, sample
from miva_core.video import contact_sheet

CANVAS, SPEED, SCALE = 112, 0.9, 1.15
PSNR_FRAMES = (2, 4, 6, 8, 12, 16)
STEPS = 25


@dataclass
class Ideal:
    """Clips as they should be: frames (N, F, H, W, 3), and for subjects their mask (N, F, H, W) and motion."""

    frames: Tensor
    mask: Tensor | None = None


@dataclass
class Row:
    """One line of the table."""

    name: str
    ratios: list[float] = field(default_factory=list)
    backgrounds: list[float] = field(default_factory=list)
    gains: list[list[float]] = field(default_factory=list)
    levels: list[list[float]] = field(default_factory=list)


def held_out_pictures(count: int) -> Tensor:
    """uint8 (count, 3, CANVAS, CANVAS): photographs first, then painted backgrounds of unseen seeds."""
    tiles = []
    for path in sorted((Path(__file__).parent / "pictures").glob("*.jpg"))[:count]:
        picture = rearrange(read_picture(path), "h w c -> 1 c h w")
        side = min(picture.shape[-2:])
        y, x = ((n - side) // 2 for n in picture.shape[-2:])
        square = picture[..., y : y + side, x : x + side]
        tiles.append(F.interpolate(square, (CANVAS, CANVAS), mode="bilinear", antialias=True)[0])
    photographs = (torch.stack(tiles) * 255).round().to(torch.uint8)
    painted = paint_backdrops(max(1, count - len(tiles)), CANVAS, seed=987_654)
    return torch.cat([photographs, painted])[:count]


def camera_ideal(pictures: Tensor, move: str, base: Base) -> Ideal:
    transforms = move_transforms(UNIT_MOVES[move], SPEED, base.frames).expand(len(pictures), -1, -1, -1)
    clip = film(pictures.float() / 255, transforms, *base.size, scale=SCALE)
    return Ideal(rearrange(clip, "b f c h w -> b f h w c"))


def subject_ideal(pictures: Tensor, motion: str, base: Base, move: str = "still") -> Ideal:
    choice = SceneChoice(
        moves=(move,), speed=(SPEED, SPEED), motions=(motion,), sprites=(0.0, 1.0), subject_speed=(SPEED, SPEED)
    )
    generator = torch.Generator().manual_seed(4321)
    scenes = draw_scenes(len(pictures), generator, choice, len(pictures), CANVAS, base.size[0], base.frames)
    scenes = replace(scenes, picture=torch.arange(len(pictures)))
    clip, mask = scenes.render(pictures, *base.size)
    return Ideal(rearrange(clip, "b f c h w -> b f h w c"), mask)


@torch.no_grad()
def run(
    base: Base, firsts: Tensor, adapters: dict[str, tuple[MIVAAdapter, float]], seed: int, noise: NoiseInit
) -> Tensor:
    """Clips (N, F, H, W, 3) from first frames (N, H, W, 3), all with the settings of `animate`."""
    x1 = rearrange(base.codec.encode(rearrange(firsts * 2 - 1, "n h w c -> n c h w")), "n c h w -> n c 1 h w")
    generator = torch.Generator().manual_seed(seed)
    start = noise.start_latents(torch.zeros_like(x1) if base.centred else x1, base.frames, generator)
    clips = []
    with contextlib.ExitStack() as stack:
        if adapters:
            miva = stack.enter_context(inject(base.model, **{name: adapter for name, (adapter, _) in adapters.items()}))
            miva.set_weights(**{name: weight for name, (_, weight) in adapters.items()})
        for part in torch.arange(len(x1)).split(8):
            scheduler = prepare_scheduler(base.scheduler, STEPS)
            latents = sample(base.model, scheduler, x1[part], start[part], text=base.text, centred=base.centred)
            clips += [base.decode(clip[None]) for clip in adain(latents)]
    return torch.stack(clips)


def camera_speed(move: str) -> Callable[[Tensor], float]:
    """Speed of a clip along a camera move: pixels a frame, or growth a frame."""
    x, y = UNIT_MOVES[move].pan
    if UNIT_MOVES[move].zoom:
        return lambda clip: expansion(clip_flow(clip))
    return lambda clip: float(median_flow(clip_flow(clip)) @ torch.tensor([-x, -y]))


def swept(mask: Tensor, margin: int = 3) -> Tensor:
    """Everywhere the subject is at some time, and a margin: (F, H, W) -> (H, W) bool."""
    area = mask.amax(0)[None, None]
    return F.max_pool2d(area, 2 * margin + 1, stride=1, padding=margin)[0, 0] > 0.2


def subject_scores(clip: Tensor, ideal: Tensor, mask: Tensor) -> tuple[float, float]:
    """(share of the ideal motion that the subject makes, background flow / subject flow).

    The first is the regression of the clip's mean flow over the swept area on the ideal clip's, frame by frame.
    """
    area = swept(mask)
    flow, wanted = clip_flow(clip), clip_flow(ideal)
    mean, mean_wanted = flow[:, area].mean(1), wanted[:, area].mean(1)
    ratio = float((mean * mean_wanted).sum() / (mean_wanted**2).sum().clamp_min(1e-6))
    speed = flow.norm(dim=-1)
    on_subject = speed[mask[:-1] > 0.5].mean()
    return ratio, float(speed[:, ~area].mean() / on_subject.clamp_min(1e-6))


def score_camera(row: Row, clips: Tensor, ideal: Ideal, move: str) -> None:
    speed = camera_speed(move)
    for clip, truth in zip(clips, ideal.frames, strict=True):
        row.ratios.append(speed(clip) / speed(truth))
    score_psnr(row, clips, ideal)


def score_subject(row: Row, clips: Tensor, ideal: Ideal) -> None:
    for clip, truth, mask in zip(clips, ideal.frames, ideal.mask, strict=True):
        ratio, background = subject_scores(clip, truth, mask)
        row.ratios.append(ratio)
        row.backgrounds.append(background)
    score_psnr(row, clips, ideal)


def score_psnr(row: Row, clips: Tensor, ideal: Ideal) -> None:
    for clip, truth in zip(clips, ideal.frames, strict=True):
        level = [psnr(clip[k - 1], truth[k - 1]) for k in PSNR_FRAMES]
        still = [psnr(truth[0], truth[k - 1]) for k in PSNR_FRAMES]
        row.levels.append(level)
        row.gains.append([a - b for a, b in zip(level, still, strict=True)])


def printed(row: Row) -> str:
    ratios = torch.tensor(row.ratios)
    background = f"{torch.tensor(row.backgrounds).median():.2f}" if row.backgrounds else ""
    levels = torch.tensor(row.levels).mean(0).tolist()
    gains = torch.tensor(row.gains).mean(0).tolist()
    cells = [
        row.name,
        f"{(ratios > 0).float().mean() * 100:.0f} %",
        f"{ratios.median():.2f}",
        background,
        " / ".join(f"{v:.1f}" for v in levels),
        " / ".join(f"{v:+.1f}" for v in gains),
    ]
    return "| " + " | ".join(cells) + " |"


def codec_round_trip(base: Base, ideal: Ideal) -> Tensor:
    with torch.no_grad():
        latents = [base.codec.encode(rearrange(clip * 2 - 1, "f h w c -> f c h w")) for clip in ideal.frames]
        return torch.stack([base.decode(rearrange(z, "f c h w -> 1 c f h w")) for z in latents])


def benchmark_motion(
    base: Base, motion: str, pictures: Tensor, seeds: int, out: Path, without: dict[tuple[bool, str], Tensor]
) -> list[str]:
    """All rows of one adapter, and its contact sheet.

    Args:
        without: clips of the base without an adapter, kept here between calls: camera motions start from the same
            first frames, and so do subject motions.
    """
    is_camera = motion in UNIT_MOVES
    ideal = camera_ideal(pictures, motion, base) if is_camera else subject_ideal(pictures, motion, base)

    def score(row: Row, clips: Tensor) -> None:
        score_camera(row, clips, ideal, motion) if is_camera else score_subject(row, clips, ideal)

    adapter = MIVAAdapter.load(SHIPPED / f"{motion}.safetensors", base.backbone)
    firsts = ideal.frames[:, 0]
    rows = [Row("ceiling: ideal clip through the codec"), Row("static copy")]
    score(rows[0], codec_round_trip(base, ideal))
    score(rows[1], ideal.frames[:, :1].expand_as(ideal.frames))
    for name, dct in (("base, no adapter, no DCTInit", False), ("base, no adapter, DCTInit", True)):
        if (is_camera, name) not in without:
            without[is_camera, name] = run(base, firsts, {}, 0, replace(base.noise, dct=dct))
        rows.append(Row(name))
        score(rows[-1], without[is_camera, name])
    rows.append(Row(f"**{motion}**"))
    for seed in range(seeds):
        clips = run(base, firsts, {"miva": (adapter, 1.0)}, seed, base.noise)
        score(rows[-1], clips)
    sheet = [
        (f"{label}, picture {k + 1}", shown[k])
        for k in torch.linspace(0, len(pictures) - 1, min(6, len(pictures))).long().tolist()
        for label, shown in (("ideal", ideal.frames), (motion, clips))
    ]
    write_jpeg(contact_sheet(sheet, every=3), out / f"{motion}.jpg")
    return [f"\n### {motion}\n", HEADER, *map(printed, rows)]


HEADER = (
    "| clip | right direction | median speed ratio | background / subject flow (median) "
    f"| PSNR to the ideal, frames {' / '.join(map(str, PSNR_FRAMES))}, dB | gain over the static copy, dB |\n"
    "|---|---|---|---|---|---|"
)


def benchmark_pair(base: Base, pan: str, subject: str, pictures: Tensor, seeds: int, out: Path) -> list[str]:
    """A pan and a subject motion in parallel, at half and at full weights."""
    ideal = subject_ideal(pictures, subject, base, move=pan)
    motions = {name: MIVAAdapter.load(SHIPPED / f"{name}.safetensors", base.backbone) for name in (pan, subject)}
    direction = torch.tensor(UNIT_MOVES[pan].pan)
    lines = [
        f"\n### {pan} and {subject} in parallel\n",
        "| weights | background follows the pan | subject moves its way against the background | both |",
        "|---|---|---|---|",
    ]
    for weight in (0.5, 1.0):
        both = []
        for seed in range(seeds):
            clips = run(base, ideal.frames[:, 0], {n: (a, weight) for n, a in motions.items()}, seed, base.noise)
            for clip, truth, mask in zip(clips, ideal.frames, ideal.mask, strict=True):
                area = swept(mask)
                flow, wanted = clip_flow(clip), clip_flow(truth)
                follows = -median_flow(flow, ~area) @ direction > 0
                own = flow[:, area].mean(1) - flow[:, ~area].mean(1)
                own_wanted = wanted[:, area].mean(1) - wanted[:, ~area].mean(1)
                both.append((bool(follows), bool((own * own_wanted).sum() > 0)))
            if seed == 0:
                rows = [
                    (f"{label}, picture {k + 1}", clip[k])
                    for k in (0, len(pictures) // 2)
                    for label, clip in (("ideal", ideal.frames), (f"{weight} + {weight}", clips))
                ]
                write_jpeg(contact_sheet(rows, every=3), out / f"{pan}_{subject}_{int(weight * 10):02d}.jpg")
        share = torch.tensor(both).float()
        cells = [*share.mean(0).tolist(), share.prod(1).mean().item()]
        lines.append(f"| {weight} / {weight} | " + " | ".join(f"{v * 100:.0f} %" for v in cells) + " |")
    return lines


def write_jpeg(image: Tensor, path: Path) -> None:
    cv2.imwrite(str(path), image.numpy()[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 60])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("motions", nargs="*", help="adapters to measure (default: all that are shipped)")
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    start = time.time()
    base, pictures = load_base("tiny"), held_out_pictures(args.pictures)
    motions = args.motions or [path.stem for path in sorted(SHIPPED.glob("*.safetensors"))]
    lines = [f"# Quality of the built-in base\n\n{len(pictures)} held-out pictures, {args.seeds} seeds, {STEPS} steps."]
    without: dict[tuple[bool, str], Tensor] = {}
    for motion in motions:
        lines += benchmark_motion(base, motion, pictures, args.seeds, args.out, without)
        print("\n".join(lines[-6:]), flush=True)
    pans = [m for m in motions if m.startswith("pan")]
    subjects = [m for m in motions if m not in UNIT_MOVES]
    if pans and subjects:
        lines += benchmark_pair(base, pans[0], subjects[0], pictures, args.seeds, args.out)
        print("\n".join(lines[-4:]))
    (args.out / "tiny_quality.md").write_text("\n".join(lines) + "\n")
    print(f"{time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
