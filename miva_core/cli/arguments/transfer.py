"""The arguments of `transfer`."""

import argparse
from pathlib import Path

from .shared import number, ranged


def add_transfer(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    command.add_argument("clip", type=Path, metavar="CLIP", help="a video of one shot, or a folder of its frames")
    command.add_argument("picture", type=Path, metavar="PICTURE", help="what is to move; the new clip has its size")
    command.add_argument("--out", type=Path, required=True, metavar="CLIP", help="the new clip: .mp4, .gif, .webp")
    command.add_argument(
        "--strength", type=ranged(0, 2), default=1.0, help="0 to 2; 1 moves as far as the clip (default)"
    )
    command.add_argument(
        "--mask",
        type=Path,
        metavar="PICTURE",
        help="white where the subject is in the picture and in the clip's first frame: it moves as a layer of its own",
    )
    command.add_argument(
        "--save-invented",
        action="store_true",
        help="also write, beside the clip as CLIP_invented_mask, what of it the picture does not show",
    )
    command.add_argument(
        "--fps", type=number(0, 240), help="frames a second (default: the clip's own; of a folder of frames 24)"
    )
    command.add_argument("--sheet", type=Path, metavar="PNG", help="also write a contact sheet of the frames")
