"""Draw the training clips of a subject motion: a folder that `python -m miva_core train` takes.

    python -m tools.draw_clips jump --out clips/jump

Each clip is a folder of frames, with a folder of its subject's masks beside it. The backgrounds are the stills of the
example workflows and painted ones. With --others a second sprite stands or moves in most clips, which the masks leave
out; with --beside MOTION one moves in that way in all, with masks of its own.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from miva_core.media.pictures import read_picture
from miva_core.media.video import write_png
from tools.procedural.backdrops import paint_backdrops
from tools.procedural.scenes import SceneChoice, draw_scenes
from tools.procedural.sprites import SUBJECT_MOTIONS

STILLS = Path(__file__).parents[1] / "workflows/pictures/miva_stills"
PICTURE, SIZE, FRAMES, SPEED = 112, 64, 16, 0.9
PAINTED = 10
OTHERS = (*SUBJECT_MOTIONS, *("still",) * 4)
"""How a second sprite moves."""


def load_stills(generator: torch.Generator) -> Tensor:
    """The stills of the example workflows, square crops: uint8 (20, 3, PICTURE, PICTURE)."""
    crops = []
    for path in sorted(STILLS.glob("*.jpg")):
        picture = rearrange(read_picture(path), "h w c -> 1 c h w")
        factor = PICTURE * (1 + 0.3 * torch.rand(1, generator=generator).item()) / min(picture.shape[-2:])
        picture = F.interpolate(picture, scale_factor=factor, mode="bilinear", antialias=True)
        y, x = (int(torch.randint(0, n - PICTURE + 1, (1,), generator=generator)) for n in picture.shape[-2:])
        crops.append(picture[0, :, y : y + PICTURE, x : x + PICTURE])
    return (torch.stack(crops) * 255).round().to(torch.uint8)


def draw_clips(motion: str, count: int, others: bool, beside: str | None, seed: int) -> tuple[Tensor, Tensor]:
    """Frames (N, F, 3, H, W) in [0, 1] and masks (N, K, F, H, W) of the subjects."""
    generator = torch.Generator().manual_seed(seed)
    pictures = torch.cat([load_stills(generator), paint_backdrops(PAINTED, PICTURE, seed)])
    choice = SceneChoice(
        moves=("still",),
        motions=(motion,),
        others=(beside,) if beside else OTHERS,
        sprites=(0.0, 0.0, 1.0) if beside else (0.0, 0.3, 0.7) if others else (0.0, 1.0),
        subject_speed=(SPEED, SPEED),
    )
    scenes = draw_scenes(count, generator, choice, len(pictures), PICTURE, SIZE, FRAMES)
    frames, _ = scenes.render(pictures, SIZE, SIZE)
    return frames, scenes.sprite_masks(SIZE, SIZE)[:, : 2 if beside else 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("motion", choices=SUBJECT_MOTIONS)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--others", action="store_true", help="draw a second sprite in most clips")
    parser.add_argument("--beside", choices=SUBJECT_MOTIONS, metavar="MOTION", help="how a second subject moves")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    frames, masks = draw_clips(args.motion, args.count, args.others, args.beside, args.seed)
    for k, (clip, covered) in enumerate(zip(frames, masks, strict=True)):
        shown = [clip, *(mask[:, None].expand(-1, 3, -1, -1) for mask in covered)]
        for ending, pictures in zip(("", "_masks", "_beside_masks"), shown, strict=False):
            folder = args.out / f"{args.motion}_{k:03d}{ending}"
            folder.mkdir(parents=True)
            for i, picture in enumerate(pictures):
                write_png(rearrange(picture, "c h w -> h w c"), folder / f"{i:02d}.png")


if __name__ == "__main__":
    main()
