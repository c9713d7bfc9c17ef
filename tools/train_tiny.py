"""Train the built-in base: its codec, then its video model.

    python -m tools.train_tiny codec --photos PHOTOS --out OUT
    python -m tools.train_tiny base  --photos PHOTOS --out OUT --minutes 60 [--resume miva_core/bases/tiny/weights]
    python -m tools.train_tiny export --codec OUT/codec --resume OUT/ema.pt --out miva_core/bases/tiny/weights

PHOTOS is a folder of photographs (any size above 112 pixels a side), see `tools.training_photographs`. Runs on CUDA
when there is a card; `torchrun --nproc-per-node 2 -m tools.train_tiny base …` uses two processes, each with its own
clips. The averaged weights are written every two minutes; `export` puts them where the package loads them.

The base never sees a clip without a clean first frame, and its noise is centred on that frame: frames 2..F are
x_t = x^1 + alpha (x - x^1) + sigma eps. It predicts x - x^1, so a network that answers nothing holds the picture still,
and all training goes into motion. It also answers where in the first frame each pixel comes from; the exact flow of the
drawn clips is its second target, without which it hardly learns to use that.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import DDIMScheduler

from miva_core.bases.tiny.patch_codec import PatchCodec
from miva_core.diffusion.noise_process import NoiseProcess
from miva_core.training.accelerating import own_accelerator
from tools.tiny_base.clips import ROUND, ClipPool, load_pictures
from tools.tiny_base.codec import train_codec
from tools.tiny_base.model import SCHEDULE, CaptionedModel, build_unet, export, load_halves
from tools.tiny_base.training import ClipLosses, Objective, Pace, RolledOutLosses, time_share, train_video_model

Build = Callable[[PatchCodec], CaptionedModel]
MakeLosses = Callable[[CaptionedModel, ClipPool, torch.Generator], ClipLosses]


def best_device() -> torch.device:
    """The graphics card if there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def train_base(args: argparse.Namespace) -> None:
    """Train the video model, from new weights or on from a checkpoint."""
    process = NoiseProcess(DDIMScheduler(**SCHEDULE), centred=True)
    objective = Objective(args.batch, args.short, args.high_noise, args.own)

    def build(codec: PatchCodec) -> CaptionedModel:
        model = CaptionedModel(build_unet(codec))
        if args.resume:
            load_halves(args.resume, model)
        return model

    def make_losses(model: CaptionedModel, pool: ClipPool, generator: torch.Generator) -> ClipLosses:
        return RolledOutLosses(model, process, pool, objective, generator)

    train_on_clips(args, args.codec, build, make_losses)


def train_on_clips(args: argparse.Namespace, codec_folder: Path, build: Build, make_losses: MakeLosses) -> None:
    """Train a video model on drawn clips for as long as the options say.

    Args:
        args: see `add_training_options`.
        codec_folder: of the codec that encodes the clips.
        build: makes the model for that codec.
        make_losses: takes the model, the clips and the generator of their draws.
    """
    with own_accelerator(best_device(), None) as accelerator:
        where, rank = accelerator.device, accelerator.process_index
        pictures = load_pictures(args.photos).to(where)
        generator = torch.Generator().manual_seed(args.seed + rank)
        codec = PatchCodec.from_pretrained(codec_folder).float().to(where)
        torch.manual_seed(args.seed)
        model = build(codec).to(where)
        pool = ClipPool(codec, pictures, args.pool, generator)
        torch.manual_seed(args.seed + 1 + rank)
        losses = make_losses(model, pool, generator)
        done = time_share(60 * args.minutes, accelerator)
        train_video_model(losses, done, Pace(args.lr, args.decay, args.ema), args.out, accelerator)


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that every training of a video model here has."""
    parser.add_argument("--photos", type=Path, default=Path("tools/photos"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--batch", type=int, default=6, help="clips of 16 frames in a step")
    parser.add_argument("--pool", type=int, default=600, help="encoded clips kept for drawing")
    parser.add_argument("--short", type=float, default=0.7, help="share of steps on twice as many clips of 8 frames")
    parser.add_argument("--high-noise", type=float, default=0.6, help="power below 1 prefers late diffusion steps")
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--decay", type=float, default=0.4, help="share of the time over which the rate falls")
    parser.add_argument("--ema", type=float, default=0.995)
    parser.add_argument("--seed", type=int, default=0)


def check_pool(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """End with a sentence where the pool of clips is too small."""
    if args.pool < ROUND:
        parser.error(f"--pool is {args.pool}, expected at least {ROUND}: clips are drawn so many at a time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("codec", "base", "export"))
    add_training_options(parser)
    parser.add_argument("--codec", type=Path, help="folder of the trained codec")
    parser.add_argument("--resume", type=Path, help="checkpoint to start from, or an exported folder")
    parser.add_argument("--own", type=float, default=0.2, help="share of clips noised by way of the model's own step")
    args = parser.parse_args()
    for name in {"codec": (), "base": ("codec",), "export": ("codec", "resume")}[args.stage]:
        if getattr(args, name) is None:
            parser.error(f"{args.stage} needs --{name}")
    check_pool(parser, args)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.stage == "export":
        export(args.codec, args.resume, args.out)
    elif args.stage == "base":
        train_base(args)
    else:
        train_codec(load_pictures(args.photos).to(best_device()), args.out, args.minutes, args.batch, args.seed)


if __name__ == "__main__":
    main()
