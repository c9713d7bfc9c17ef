"""What made the built-in base good: small bases trained from nothing, one choice changed in each.

    python -m benchmarks.base_ablations --photos PHOTOS --work FOLDER [--pictures 20] [--seeds 3] [variant numbers …]

All train for as many steps on clips of 8 frames of a camera's and a subject's motion, and are asked for these by their
captions on held-out pictures, for clips as the network paints them, by the latent route. PHOTOS as for
`tools.train_tiny`. Six to ten minutes a variant on one core; bases that are in the work folder already are taken as
they are. Writes base_ablations.md.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler
from torch import Tensor, nn

from benchmarks.claims import FRAMES as JUDGED
from benchmarks.claims import caption_of, joined, scores
from benchmarks.significance import shown
from benchmarks.tiny_quality import AS_PAINTED, Ideal, camera_ideal, held_out_pictures, subject_ideal
from miva_core import RunOptions, animate, load_base
from miva_core.bases.base import Base
from miva_core.bases.describe import describe
from miva_core.bases.tiny.patch_codec import PatchCodec
from miva_core.bases.tiny.spec import WEIGHTS
from miva_core.diffusion.noise_process import NoiseProcess
from miva_core.training.accelerating import own_accelerator
from tools.procedural.scenes import SceneChoice
from tools.tiny_base.clips import FRAMES, ClipPool, Encoded, load_pictures
from tools.tiny_base.codec import fit_codec
from tools.tiny_base.model import SCHEDULE, CaptionedModel, build_unet, load_halves
from tools.tiny_base.training import Objective, Pace, RolledOutLosses, train_video_model

CAMERA, SUBJECT = JUDGED
CHOICE = SceneChoice(moves=("still", CAMERA), motions=("still", SUBJECT), sprites=(0.25, 0.75), speed=(0.5, 1.2))
STEPS = 600
LENGTH = FRAMES // 2
OBJECTIVE, PACE = Objective(batch=4, short=1.0), Pace(ema=0.99)


class WithoutFlow(ClipPool):
    """Clips whose flow nobody knows."""

    def draw(self, count: int) -> Encoded:
        drawn = super().draw(count)
        return drawn._replace(flow=torch.zeros_like(drawn.flow))


class Unweighted(ClipPool):
    """Clips of which every place counts alike."""

    def draw(self, count: int) -> Encoded:
        drawn = super().draw(count)
        return drawn._replace(weights=torch.ones_like(drawn.weights))


@dataclass(frozen=True)
class Variant:
    """What is changed.

    Attributes:
        channels: of the latents of a codec that is fitted anew, without the network that refines its pictures; None
            takes the codec that is shipped, with it.
        unet: settings of the video model that differ.
        schedule: settings of the noise schedule that differ.
        objective: parts of `OBJECTIVE` that differ.
        pool: where clips are drawn from.
        sampling: settings of the first variant's base, which is not trained anew for them.
    """

    name: str
    channels: int | None = None
    unet: Mapping[str, Any] = field(default_factory=dict)
    schedule: Mapping[str, Any] = field(default_factory=dict)
    objective: Mapping[str, Any] = field(default_factory=dict)
    pool: type[ClipPool] = ClipPool
    sampling: Mapping[str, Any] = field(default_factory=dict)


VARIANTS = (
    Variant("as shipped"),
    Variant("codec: its linear part alone", channels=32),
    Variant("codec: linear, 16 channels", channels=16),
    Variant("width: 32 and 48 in place of 64 and 96", unet={"block_out_channels": (32, 48)}),
    Variant("objective: no flow", pool=WithoutFlow),
    Variant("objective: subjects count no more", pool=Unweighted),
    Variant("objective: no clips rolled out", objective={"rolled_out": 0.0}),
    Variant("noise schedule: its last step not all noise", schedule={"rescale_betas_zero_snr": False}),
    Variant("noise schedule: nine of ten clips from step 800 up", objective={"high_noise": 0.1}),
    Variant("steps: 1", sampling={"steps": 1}),
    Variant("steps: 16", sampling={"steps": 16}),
    Variant("steps: as DDIM spaces 8, down to little noise", sampling={"steps": 8, "last_timestep": None}),
)


def codec_of(variant: Variant, pictures: Tensor) -> PatchCodec:
    if variant.channels is None:
        return PatchCodec.from_pretrained(WEIGHTS / "codec").float()
    return fit_codec(pictures, torch.Generator().manual_seed(0), variant.channels)


def trained(variant: Variant, photos: Path, folder: Path) -> tuple[Base, nn.Embedding]:
    """The base of a variant and the words of its captions, from the folder if they are there."""
    pictures, generator = load_pictures(photos), torch.Generator().manual_seed(0)
    codec = codec_of(variant, pictures)
    torch.manual_seed(0)
    model = CaptionedModel(build_unet(codec, **variant.unet))
    process = NoiseProcess(DDIMScheduler(**SCHEDULE | variant.schedule), centred=True)
    finished = folder / "base.pt"
    if not finished.exists():
        pool = variant.pool(codec, pictures, 600, generator, CHOICE)
        losses = RolledOutLosses(model, process, pool, replace(OBJECTIVE, **variant.objective), generator)
        with torch.enable_grad(), own_accelerator(torch.device("cpu"), None) as accelerator:
            train_video_model(losses, lambda step: step / STEPS, PACE, folder, accelerator)
        (folder / "ema.pt").replace(finished)
    load_halves(finished, model)
    unet = model.unet
    parts = {"model": unet.eval(), "codec": codec, "scheduler": process.scheduler, "backbone": describe(unet)}
    return replace(load_base("tiny"), **parts | variant.sampling), model.words


def speeds_and_gains(base: Base, words: nn.Embedding, motion: str, ideal: Ideal, seeds: int) -> tuple[Tensor, Tensor]:
    """Speed / ideal speed and PSNR above a still picture's, both (seeds, pictures)."""
    captioned = replace(base, text=caption_of(motion, words.weight))
    of_seeds = []
    for seed in range(seeds):
        options = RunOptions(seed=seed, frames=LENGTH, render="latents")
        clips = [animate(captioned, clip[0], [], options).frames for clip in ideal.frames]
        of_seeds.append(scores(torch.stack(clips), ideal, motion))
    found = joined(of_seeds)
    return found.speed, found.gain


def begun(ideal: Ideal) -> Ideal:
    """The first `LENGTH` frames."""
    return Ideal(ideal.frames[:, :LENGTH], None if ideal.mask is None else ideal.mask[:, :LENGTH])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", type=int, nargs="*", help="numbers of variants to train, and no table; default all")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder that the bases are kept in")
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    lines = [
        "# What made the built-in base good",
        "\n`python -m benchmarks.base_ablations --photos PHOTOS --work FOLDER`: bases trained from nothing for "
        f"{STEPS} steps on clips of {LENGTH} frames, one choice changed in each, asked for a motion by its caption, "
        f"{AS_PAINTED}; {options.pictures} held-out pictures, {options.seeds} seeds, mean ± spread over seeds. PSNR "
        "above a still picture's, dB, at "
        f"{' and '.join(f'frame {frame} ({motion})' for motion, frame in JUDGED.items())}. One training each: what "
        "differs by a few tenths of a dB may be chance.\n",
        f"| base | million weights | {' | '.join(f'{m}: speed / ideal | PSNR' for m in JUDGED)} |",
        "|---" * (2 + 2 * len(JUDGED)) + "|",
    ]
    pictures, shipped = held_out_pictures(options.pictures), load_base("tiny")
    ideals = {
        CAMERA: begun(camera_ideal(pictures, CAMERA, shipped)),
        SUBJECT: begun(subject_ideal(pictures, SUBJECT, shipped)),
    }
    for number, variant in enumerate(VARIANTS):
        if options.variants and number not in options.variants:
            continue
        folder = options.work / str(0 if variant.sampling else number)
        folder.mkdir(parents=True, exist_ok=True)
        base, words = trained(variant, options.photos, folder)
        if options.variants:
            continue
        size = sum(p.numel() for p in base.model.parameters()) / 1e6
        cells = [variant.name, f"{size:.1f}"]
        for motion, ideal in ideals.items():
            cells += [shown(v) for v in speeds_and_gains(base, words, motion, ideal, options.seeds)]
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    if not options.variants:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "base_ablations.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
