"""The arguments of `animate`."""

import argparse
from pathlib import Path

from ...checks import LARGEST
from .shared import add_base, add_folders, share, whole


def add_animate(command: argparse.ArgumentParser) -> None:
    command.add_argument("picture", type=Path)
    command.add_argument(
        "--miva",
        action="append",
        default=[],
        metavar="NAME[:WEIGHT][@START-END]",
        help="a motion by name or file; repeat it to run several at once (weights that sum to 1 are the most stable); "
        "@0.4-1 lets it act from 40 %% of the steps on",
    )
    command.add_argument(
        "--mask",
        action="append",
        default=[],
        metavar="NAME=PICTURE",
        help="where the subject of a masked motion is, white on black; repeat it for each of them",
    )
    command.add_argument("--out", type=Path, required=True, metavar="CLIP", help="the clip: .mp4, .gif, .webp")
    command.add_argument("--sheet", type=Path, metavar="PNG", help="also write a contact sheet of the frames")
    command.add_argument(
        "--save-masks",
        action="store_true",
        help="also write the subjects' masks as generated with the clip, each beside it as CLIP_NAME_mask",
    )
    add_base(command)
    command.add_argument("--seed", type=whole(0, 2**64 - 1), default=0, help="another seed, another clip (default: 0)")
    command.add_argument("--steps", type=whole(1, 1000), help="denoising steps (default: the base's own)")
    command.add_argument("--frames", type=whole(2, LARGEST), help="length of the clip (default: the base's own)")
    command.add_argument("--size", metavar="WIDTHxHEIGHT", help="size of the clip (default: the base's own)")
    command.add_argument("--fit", choices=("crop", "pad"), default="crop", help="how another aspect is met")
    command.add_argument("--no-dct", action="store_true", help="start from plain noise in the low band, too")
    command.add_argument(
        "--dct-strength",
        type=share,
        metavar="A",
        help="share of the picture in the low band, 0 to 1 (the tiny base hardly heeds it)",
    )
    command.add_argument("--no-shared-noise", action="store_true", help="draw every frame's noise by itself")
    command.add_argument(
        "--adain",
        action=argparse.BooleanOptionalAction,
        help="match the frames' statistics to the picture's at the end (default: as the base wants it)",
    )
    add_folders(command)
