"""The arguments of `evaluate`."""

import argparse
from pathlib import Path

from .shared import add_base, add_folders, whole


def add_evaluate(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    command.add_argument("adapter", help="its name or file")
    command.add_argument(
        "--stills",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="pictures it did not learn from; an adapter that is masked, or that a mask guides, needs a mask beside "
        "each, for still.jpg still_mask.png",
    )
    command.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="made if it is not there")
    command.add_argument("--seeds", type=whole(1, 100), default=1, help="clips of each still (default: 1)")
    command.add_argument("--steps", type=whole(1, 1000), help="denoising steps (default: the base's own)")
    command.add_argument("--dino", type=Path, metavar="FOLDER", help="a local copy of facebook/dino-vitb16")
    command.add_argument("--clip", type=Path, metavar="FOLDER", help="a local copy of openai/clip-vit-base-patch32")
    add_base(command, None, "the one that the adapter was made for")
    add_folders(command)
