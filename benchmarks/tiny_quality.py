"""Does the built-in base move pictures it has never seen, the way each shipped adapter says?

    python -m benchmarks.tiny_quality [--seeds 3] [--pictures 40] [--out benchmarks/results]

Writes tiny_quality.md (the table) and one contact sheet per adapter. Every number is of the clip as the network paints
it, by the latent route: decoded, against the ideal clip rendered from the same picture, flow by Farneback on both. What
users get is that motion at the picture's own size: `full_size`. Pictures are 28 held-out photographs and painted
backgrounds of unseen seeds; subjects are drawn sprites, since their exact mask must be known.
"""

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from miva_core import MIVAAdapter, Motion, RunOptions, animate, load_base
from miva_core.adapters.info import read_info
from miva_core.bases.base import Base
from miva_core.bases.tiny.spec import SHIPPED
from miva_core.clips.camera import UNIT_MOVES, film, move_transforms
from miva_core.diffusion.init_noise import NoiseInit
from miva_core.measure.metrics import clip_flow, expansion, median_flow, psnr, rotation
from miva_core.media.contact_sheet import contact_sheet
from miva_core.media.pictures import read_picture
from tools.procedural.backdrops import paint_backdrops
from tools.procedural.scenes import SceneChoice, draw_scenes

CANVAS, SPEED, SCALE = 112, 0.9, 1.15
PSNR_FRAMES = (2, 4, 6, 8, 12, 16)
AS_PAINTED = "clips as the network paints them, by the latent route"
PAIR = ("pan_left", "jump")
"""A pan and a subject motion that are measured together."""


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


def held_out_pictures(count: int, side: int = CANVAS) -> Tensor:
    """uint8 (count, 3, side, side): photographs first, then painted backgrounds of unseen seeds."""
    tiles = []
    for path in sorted((Path(__file__).parent / "pictures").glob("*.jpg"))[:count]:
        picture = rearrange(read_picture(path), "h w c -> 1 c h w")
        short = min(picture.shape[-2:])
        y, x = ((n - short) // 2 for n in picture.shape[-2:])
        square = picture[..., y : y + short, x : x + short]
        tiles.append(F.interpolate(square, (side, side), mode="bilinear", antialias=True)[0])
    photographs = (torch.stack(tiles) * 255).round().to(torch.uint8)
    painted = paint_backdrops(max(1, count - len(tiles)), side, seed=987_654)
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


def run(base: Base, firsts: Tensor, motions: Sequence[Motion], seed: int, noise: NoiseInit) -> Tensor:
    """Clips (N, F, H, W, 3) from first frames (N, H, W, 3)."""
    options = RunOptions(seed, noise=noise, render="latents")
    return torch.stack([animate(base, first, motions, options).frames for first in firsts])


def camera_speed(move: str) -> Callable[[Tensor], float]:
    """Speed of a clip along a camera move: pixels, growth or radians a frame."""
    return lambda clip: flow_along(move, clip_flow(clip))


def flow_along(move: str, flow: Tensor) -> float:
    """`camera_speed` of a clip whose flow is known."""
    x, y = UNIT_MOVES[move].pan
    if UNIT_MOVES[move].roll:
        return rotation(flow)
    if UNIT_MOVES[move].zoom:
        return expansion(flow)
    return float(median_flow(flow) @ torch.tensor([-x, -y]))


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
    # In a still picture there is no subject flow to compare with.
    leak = speed[:, ~area].mean() / on_subject if on_subject > 0.02 else torch.tensor(torch.nan)
    return ratio, float(leak)


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


@dataclass
class Summary:
    """What a row says in numbers.

    Attributes:
        direction: share of clips that move the right way.
        ratio: median of speed / ideal speed.
        background: median of background flow / subject flow, NaN for camera motions and still pictures.
        levels: mean PSNR to the ideal at `PSNR_FRAMES`, dB. gains: the same above a static copy.
    """

    direction: float
    ratio: float
    background: float
    levels: list[float]
    gains: list[float]


def summary(row: Row) -> Summary:
    ratios = torch.tensor(row.ratios)
    return Summary(
        direction=(ratios > 0).float().mean().item(),
        ratio=ratios.median().item(),
        background=torch.tensor(row.backgrounds or [torch.nan]).nanmedian().item(),
        levels=torch.tensor(row.levels).mean(0).tolist(),
        gains=torch.tensor(row.gains).mean(0).tolist(),
    )


def printed(row: Row) -> str:
    values = summary(row)
    cells = [
        row.name,
        f"{values.direction * 100:.0f} %",
        f"{values.ratio:.2f}",
        "" if math.isnan(values.background) else f"{values.background:.2f}",
        " / ".join(f"{v:.1f}" for v in values.levels),
        " / ".join(f"{v:+.1f}" for v in values.gains),
    ]
    return "| " + " | ".join(cells) + " |"


def verdict(row: Row, is_camera: bool) -> str:
    """Which gates an adapter's row meets, in one line."""
    values = summary(row)
    gains = dict(zip(PSNR_FRAMES, values.gains, strict=True))
    if is_camera:
        gates = {
            "right direction on ≥ 95 %": values.direction >= 0.95,
            "median speed ratio 0.8 to 1.2": 0.8 <= values.ratio <= 1.2,
            "PSNR above the static copy from frame 4 on": all(gain > 0 for k, gain in gains.items() if k >= 4),
            "by ≥ 3 dB at frame 8": gains[8] >= 3,
        }
    else:
        gates = {
            "its way on ≥ 90 %": values.direction >= 0.9,
            "background flow ≤ 0.2 of the subject's": values.background <= 0.2,
        }
    return "Gates: " + "; ".join(f"{name}: {'met' if met else '**missed**'}" for name, met in gates.items()) + "."


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
            without[is_camera, name] = run(base, firsts, [], 0, replace(base.noise, dct=dct))
        rows.append(Row(name))
        score(rows[-1], without[is_camera, name])
    rows.append(Row(f"**{motion}**"))
    for seed in range(seeds):
        clips = run(base, firsts, [Motion(adapter)], seed, base.noise)
        score(rows[-1], clips)
    sheet = [
        (f"{label}, picture {k + 1}", shown[k])
        for k in torch.linspace(0, len(pictures) - 1, min(6, len(pictures))).long().tolist()
        for label, shown in (("ideal", ideal.frames), (motion, clips))
    ]
    write_jpeg(contact_sheet(sheet, every=3), out / f"{motion}.jpg")
    return [f"\n### {motion}\n", HEADER, *map(printed, rows), "", verdict(rows[-1], is_camera)]


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
    met = []
    for weight in (0.5, 1.0):
        both = []
        for seed in range(seeds):
            clips = run(base, ideal.frames[:, 0], [Motion(a, weight) for a in motions.values()], seed, base.noise)
            for clip, truth, mask in zip(clips, ideal.frames, ideal.mask, strict=True):
                area = swept(mask)
                flow, wanted = clip_flow(clip), clip_flow(truth)
                follows = -median_flow(flow, ~area) @ direction > 0
                within = flow[:, area].mean(1) - flow[:, ~area].mean(1)
                wanted_within = wanted[:, area].mean(1) - wanted[:, ~area].mean(1)
                both.append((bool(follows), bool((within * wanted_within).sum() > 0)))
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
        met.append(cells[-1] >= 0.8)
    return [*lines, "", f"Gates: both right on ≥ 80 %: {', '.join('met' if m else '**missed**' for m in met)}."]


def measured_elsewhere(adapter: Path) -> bool:
    """Whether an adapter generates its subject's mask, see `mask_quality`, or holds several motions, see `words`."""
    config = read_info(adapter).config
    return config.mask or config.words


def write_jpeg(image: Tensor, path: Path) -> None:
    _, content = cv2.imencode(".jpg", image.numpy()[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 60])
    path.write_bytes(content.tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "motions", nargs="*", help="adapters to measure (default: all that are shipped for one motion without a mask)"
    )
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    start = time.time()
    base, pictures = load_base("tiny"), held_out_pictures(args.pictures)
    motions = args.motions or [
        path.stem for path in sorted(SHIPPED.glob("*.safetensors")) if not measured_elsewhere(path)
    ]
    lines = [
        "# Quality of the built-in base",
        f"\n{len(pictures)} held-out pictures, {args.seeds} seeds for the adapters, one for the other rows, the "
        f"settings of `animate`, {AS_PAINTED}. DCTInit changes next to nothing here: the noise of this base is centred "
        "on the picture already.",
    ]
    without: dict[tuple[bool, str], Tensor] = {}
    for motion in motions:
        lines += benchmark_motion(base, motion, pictures, args.seeds, args.out, without)
        print("\n".join(lines[-9:]), flush=True)
    if set(PAIR) <= set(motions):
        lines += benchmark_pair(base, *PAIR, pictures, args.seeds, args.out)
        print("\n".join(lines[-7:]))
    (args.out / "tiny_quality.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{time.time() - start:.0f} s")


if __name__ == "__main__":
    main()
