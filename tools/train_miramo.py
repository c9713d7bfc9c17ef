"""Train the built-in MiraMo, in about an hour on one core.

    python -m tools.train_miramo base --photos PHOTOS --out OUT --minutes 70
    python -m tools.train_miramo base --photos PHOTOS --out OUT --minutes 70 --resume
    python -m tools.train_miramo export --out OUT

PHOTOS is a folder of photographs, see `tools.training_photographs`. Clips are drawn from them by formulas of motions,
see `tools.motion_world`; each step sees a few frames of each, since the model is told their times. The averaged weights
are in OUT/ema.pt, written every minute; OUT/checkpoint.pt is what `--resume` goes on from. `export` puts the averaged
weights where the package loads them.
"""

import argparse
from pathlib import Path

import torch

from miva_core.bases.miramo.spec import WEIGHTS
from miva_core.errors import MIVAError
from tools.miramo.losses import Step
from tools.miramo.model import WordedMiraMo, build_model, export, load_codec
from tools.miramo.training import Training, time_share
from tools.motion_world.clips import World
from tools.motion_world.photographs import training_photographs
from tools.tiny_base.training import Pace


def train_base(args: argparse.Namespace) -> None:
    """Train the model, from new weights or on from a checkpoint."""
    torch.manual_seed(args.seed)
    codec = load_codec()
    model = WordedMiraMo(build_model(codec))
    step = Step(World(training_photographs(args.photos)), codec, args.seed, args.clips, args.frames)
    training = Training(model, step, Pace(args.lr, args.decay, args.ema), time_share(args.minutes))
    if args.resume:
        training.resume(args.out / "checkpoint.pt")
    training.run(args.out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=("base", "export"))
    parser.add_argument("--photos", type=Path, default=Path("tools/photos"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=70)
    parser.add_argument("--resume", action="store_true", help="go on from OUT/checkpoint.pt")
    parser.add_argument("--clips", type=int, default=12, help="of 64 x 64 pixels in a step")
    parser.add_argument("--frames", type=int, default=5, help="of each clip in a step, the first one included")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--decay", type=float, default=0.45, help="share of the time over which the rate falls")
    parser.add_argument("--ema", type=float, default=0.995)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        if args.stage == "export":
            export(args.out / "ema.pt", WEIGHTS)
        else:
            train_base(args)
    except MIVAError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
