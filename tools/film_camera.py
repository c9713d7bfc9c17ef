"""Film the training clips of a camera move that has no word: a folder that `python -m miva_core train` takes.

    python -m tools.film_camera spiral --out clips/spiral

Each clip is a folder of frames, filmed over a random part of one of the stills of the example workflows.
"""

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from miva_core.clips.camera import CameraMove, film, move_transforms
from miva_core.clips.stills import read_stills
from miva_core.media.video import write_png

STILLS = Path(__file__).parents[1] / "workflows/pictures/miva_stills"
MOVES = {
    "pan_up_left": CameraMove(pan=(-0.7, -0.7)),
    "spiral": CameraMove(zoom=0.02, roll=math.radians(1.4)),
}
"""Two pans, and a zoom with a roll, at once: a pixel of 64 a frame, or so at the frame's edge."""
SIZE, FRAMES, CLIPS_PER_STILL = 64, 16, 5
ROOM = 1.5
"""Pixels of a still's shorter side to one of the frame, at the least: so that a move stays on the still."""


def filmed(move: CameraMove, seed: int) -> Iterator[tuple[str, Tensor]]:
    """The name and the frames (F, 3, H, W) in [0, 1] of each clip."""
    generator, transforms = torch.Generator().manual_seed(seed), move_transforms(move, 1.0, FRAMES)
    for name, picture in read_stills(STILLS, 4 * SIZE):
        for k in range(CLIPS_PER_STILL):
            side = SIZE * ROOM * (1 + 0.3 * torch.rand(1, generator=generator).item())
            factor = 2 * side / min(picture.shape[:2])
            canvas = F.interpolate(
                rearrange(picture, "h w c -> 1 c h w"), scale_factor=factor, mode="bilinear", antialias=True
            )
            aimed = transforms.clone()
            aimed[..., 2] = 2 * (aimed[..., 2] + aim(canvas, transforms, generator))
            yield f"{name}_{k + 1}", F.avg_pool2d(film(canvas, aimed, 2 * SIZE, 2 * SIZE)[0], 2)


def aim(canvas: Tensor, transforms: Tensor, generator: torch.Generator) -> Tensor:
    """Where the first frame's centre is, (2,) in frame pixels, so that the frames' centres stay around the canvas's."""
    drift = transforms[0, -1, :, 2] / 2
    slack = (torch.tensor([*canvas.shape[:1:-1]]) / 2 - SIZE) / 2 - drift.abs()
    return (2 * torch.rand(2, generator=generator) - 1) * slack.clamp(min=0) - drift


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("move", choices=MOVES)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for name, frames in filmed(MOVES[args.move], args.seed):
        folder = args.out / name
        folder.mkdir(parents=True)
        for i, picture in enumerate(frames):
            write_png(rearrange(picture, "c h w -> h w c").clamp(0, 1), folder / f"{i:02d}.png")


if __name__ == "__main__":
    main()
