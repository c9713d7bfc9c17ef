"""The arguments of `film`."""

import argparse
from pathlib import Path

from .animate import add_time_of_film, size_of_clip
from .shared import add_edges, whole


def add_film(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    command.add_argument("source", type=Path, metavar="PICTURE", help="what is to move")
    command.add_argument("--out", type=Path, required=True, metavar="CLIP", help="the clip: .mp4, .gif, .webp")
    command.add_argument(
        "--motion",
        action="append",
        required=True,
        metavar="NAME[=SPEED]",
        help="repeat it for several at once. Of the whole picture: pan-left and its kin, zoom-in, roll-cw, shake; in "
        "depth: truck-left, dolly-in; of a part, which needs a mask: drift-left, ripple, sway, flag, breathe, rise, "
        "slide-left, jump. 1 is 1/64 of the shorter side in 1/8 s (default: 0.5)",
    )
    command.add_argument(
        "--mask",
        action="append",
        default=[],
        metavar="[NAME=]PICTURE",
        help="what a motion moves, white on black; of several motions of one name, in their order",
    )
    command.add_argument(
        "--depth", type=Path, metavar="PICTURE", help="white where the picture is near (default: the lower half is)"
    )
    command.add_argument(
        "--front", type=Path, metavar="PICTURE", help="white where something stands before all that moves"
    )
    command.add_argument("--seed", type=whole(0, 2**63 - 1), default=0, help="of a shake (default: 0)")
    look = command.add_argument_group("what the clip shows")
    look.add_argument(
        "--size",
        type=size_of_clip,
        metavar="WIDTHxHEIGHT",
        help="of the clip; 0 for a side that follows the picture's aspect (default: the picture's own size, up to 1024 "
        "along the longer side)",
    )
    add_edges(look)
    look.add_argument("--sheet", type=Path, metavar="PNG", help="also write a contact sheet of the frames")
    look.add_argument(
        "--save-masks",
        action="store_true",
        help="also write the masks of what moves, each beside the clip as CLIP_NAME_mask",
    )
    add_time_of_film(command.add_argument_group("how long and how fast"))
