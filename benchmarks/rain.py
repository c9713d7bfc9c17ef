"""Rain, which the paper says a picture's low band in the noise holds back (E.2): does it fall, and more without?

    python -m benchmarks.rain --work FOLDER [--t2v FOLDER] [--pictures 40] [--seeds 3] [--out benchmarks/results]

Streaks are drawn over the stills of the example workflows and learnt as any motion is, by the built-in base and, with
--t2v, by what `benchmarks.t2v_base` trained. On held-out pictures the clip begins with rain in it, and goes on as the
network paints it, by the latent route. Writes rain.md and rain.jpg; what is in the work folder already is taken as it
is.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from benchmarks.ablations import STILLS, VARIANTS, Clips, trained
from benchmarks.claims import (
    SHOWN,
    Setting,
    clips_of,
    kept_in,
    noise,
    options_parser,
    parse,
    start_settings,
)
from benchmarks.significance import rule, shown, shown_difference, verdict
from benchmarks.t2v_base import load
from benchmarks.tiny_quality import AS_PAINTED, Ideal, held_out_pictures, write_jpeg
from miva_core import Motion, load_base
from miva_core.bases.base import Base
from miva_core.bases.recipe import Recipe
from miva_core.clips.stills import read_stills
from miva_core.clips.training_clip import TrainingClip
from miva_core.measure.metrics import psnr
from miva_core.media.contact_sheet import contact_sheet
from miva_core.media.pictures import fit_picture
from miva_core.training.recipes import recipe
from miva_core.training.training_set import TrainingSet

DROPS, FALL, LENGTH, WIDTH, FINE = 14, 4, 12, 3, 4
"""Drops in a picture; pixels that they fall in a frame, and are long and wide; drawn so much finer."""
CLIPS_PER_STILL = 5
SEEN = 0.02
"""Share of the ideal clip's rain that a difference must have to count."""
HOLDS_BACK = "it holds rain back (E.2)"


def rain(picture: Tensor, frames: int, generator: torch.Generator) -> Tensor:
    """A picture (3, H, W) in [0, 1] in the rain: (F, 3, H, W). What falls out below comes in again above."""
    _, height, width = picture.shape
    x, y, speed, opacity = torch.rand(4, DROPS, generator=generator).numpy()
    clip = []
    for frame in range(frames):
        fallen = y * (height + LENGTH) + FALL * (0.9 + 0.2 * speed) * frame
        top = fallen % (height + LENGTH) - LENGTH
        layer = np.zeros((FINE * height, FINE * width), np.float32)
        for k in np.argsort(opacity):
            ends = ((round(FINE * x[k] * width), round(FINE * v)) for v in (top[k], top[k] + LENGTH))
            cv2.line(layer, *ends, 0.4 + 0.5 * float(opacity[k]), WIDTH * FINE)
        cover = torch.from_numpy(cv2.resize(layer, (width, height), interpolation=cv2.INTER_AREA))
        clip.append(picture + cover * (0.9 - picture))
    return torch.stack(clip)


def training_clips(base: Base, chosen: Recipe) -> Clips:
    generator = torch.Generator().manual_seed(0)
    clips = []
    for name, still in read_stills(STILLS):
        picture = rearrange(fit_picture(still, base.size)[0], "h w c -> c h w")
        for k in range(CLIPS_PER_STILL):
            frames = (rain(picture, base.frames, generator) * 255).round().byte()
            clips.append(TrainingClip(f"{name}_{k}", frames, torch.zeros(0, base.frames, *base.size).byte()))
    return TrainingSet("rain", clips, flip=True).encode(base, chosen.colours, 0)


def rain_ideal(pictures: Tensor, base: Base) -> Ideal:
    """Clips in the rain, of pictures uint8 (N, 3, H, W)."""
    generator = torch.Generator().manual_seed(4321)
    small = F.interpolate(pictures.float() / 255, base.size, mode="bilinear", antialias=True)
    return Ideal(torch.stack([rearrange(rain(one, base.frames, generator), "f c h w -> f h w c") for one in small]))


@dataclass(frozen=True)
class Scores:
    """Of each clip (seeds, pictures).

    Attributes:
        falling: what is found again `FALL` pixels lower in the next frame, less what is found so much higher, by the
            root of the mean product of how far pixels are from their median over the clip; as a share of the ideal's.
        unrest: the root of the mean square of that distance, likewise a share: with what only flickers.
        kept: PSNR of the clip's median to the ideal clip's.
    """

    falling: Tensor
    unrest: Tensor
    kept: Tensor


def wet(clip: Tensor) -> Tensor:
    """How far each pixel is from its median over the clip: (F, H, W, 3), alike."""
    return clip - clip.median(0).values


def falling(clip: Tensor) -> float:
    layer = wet(clip)
    above, below = layer[:, :-FALL], layer[:, FALL:]
    product = (above[:-1] * below[1:]).mean() - (below[:-1] * above[1:]).mean()
    return product.clamp_min(0).sqrt().item()


def scores(clips: Tensor, ideal: Ideal) -> Scores:
    found = [
        (
            falling(clip) / falling(truth),
            (wet(clip).square().mean() / wet(truth).square().mean()).sqrt().item(),
            psnr(clip.median(0).values, truth.median(0).values),
        )
        for clip, truth in zip(clips, ideal.frames, strict=True)
    ]
    return Scores(*torch.tensor(found).T)


def settings(base: Base) -> tuple[Setting, ...]:
    """As `start_settings`, with what the paper says of rain alone."""
    less = Setting("DCTInit, half of the band", HOLDS_BACK, animate=noise(cutoff=base.noise.cutoff / 2), adds=True)
    said = {"without DCTInit": less.claim}
    changed = (replace(one, claim=said.get(one.name, ""), adds=True) for one in start_settings(base))
    return (Setting("as trained", ""), *changed, less)


HEAD = (
    "| setting | falling rain / ideal | all unrest / ideal | PSNR of what stands still, dB "
    "| falling, against as trained | the paper says | here |\n|---|---|---|---|---|---|---|"
)


def table(base: Base, ideal: Ideal, seeds: int, work: Path) -> tuple[list[str], list[tuple[str, Tensor]]]:
    """The table's lines, and a clip of each setting by its name."""
    work.mkdir(exist_ok=True)
    chosen = recipe("tiny")
    adapter = trained(VARIANTS[0], base, chosen, lambda: training_clips(base, chosen), kept_in(work, "rain", 0), 0)
    lines, sheet, usual = [HEAD], [], None
    for setting in settings(base):
        of_seeds = []
        for seed in range(seeds):
            kept = kept_in(work, setting.name, seed, len(ideal.frames))
            clips = clips_of(base, [Motion(adapter)], ideal, seed, kept, **setting.animate(base))
            of_seeds.append(scores(clips, ideal))
        found = Scores(*(torch.stack([getattr(one, name) for one in of_seeds]) for name in Scores.__annotations__))
        usual = usual or found
        cells = [
            setting.name,
            *map(shown, (found.falling, found.unrest, found.kept)),
            "" if found is usual else shown_difference(found.falling, usual.falling),
            setting.claim,
            verdict(found.falling, usual.falling, setting.adds, SEEN) if setting.claim else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)
        sheet.append((f"{base.name}, {setting.name}", clips[SHOWN]))
    return lines, sheet


def main() -> None:
    parser = options_parser(__doc__)
    parser.add_argument("--t2v", type=Path, help="folder that benchmarks.t2v_base wrote")
    options = parse(parser)
    bases = [load_base("tiny"), *([load(options.t2v)[0]] if options.t2v else [])]
    ideal = rain_ideal(held_out_pictures(options.pictures), bases[0])
    lines = [
        "# Rain",
        f"\n`python -m benchmarks.rain --work FOLDER{' --t2v FOLDER' if options.t2v else ''}`: {len(ideal.frames)} "
        f"held-out pictures, {options.seeds} seeds, one training in {recipe('tiny').steps} steps for each base; "
        f"{AS_PAINTED}; mean ± spread over seeds, differences with their standard error over seeds and pictures. The "
        f"last column goes by the falling rain: {rule(f'{SEEN:g}')}",
    ]
    sheet = [("ideal", ideal.frames[SHOWN])]
    for base in bases:
        part, clips = table(base, ideal, options.seeds, options.work / base.name.replace(" ", "_"))
        lines += [f"\n## {base.name}\n", *part]
        sheet += clips
    write_jpeg(contact_sheet(sheet, every=2), options.out / "rain.jpg")
    lines.append("\n![a clip of each setting](rain.jpg)")
    (options.out / "rain.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
