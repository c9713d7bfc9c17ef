"""The arguments of `motion-clips`."""

import argparse
from pathlib import Path

from .shared import number, whole


def add_motion_clips(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    command.add_argument("stills", type=Path, help="folder of pictures, with their masks and depth maps")
    add_shooting(command, "--motion", required=True)
    command.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="made if it is not there")
    command.add_argument("--size", default="512x320", metavar="WIDTHxHEIGHT", help="default: 512x320")
    command.add_argument("--frames", type=whole(2, 1000), default=16, help="of each clip (default: 16)")
    command.add_argument("--fps", type=whole(1, 60), default=8, help="frames per second (default: 8)")
    command.add_argument("--seed", type=whole(0, 2**31 - 1), default=0)


def add_shooting(command: argparse.ArgumentParser, name: str, required: bool) -> None:
    """Add the arguments that say how stills are filmed.

    Args:
        command: that gets them.
        name: of the one that names the motion, such as "--film".
        required: whether that one must be given.
    """
    command.add_argument(
        name,
        metavar="MOTION",
        dest="film",
        required=required,
        help="pan-left, pan-right, pan-up, pan-down, zoom-in, zoom-out, roll-cw, roll-ccw or shake; truck-left, "
        "truck-right, dolly-in or dolly-out, by depth maps; drift-left, drift-right, drift-up, drift-down, sway, flag, "
        "ripple or breathe inside of masks; rise, slide-left, slide-right or jump of what masks cut out",
    )
    command.add_argument(
        "--depth", type=Path, metavar="FOLDER", help="of depth maps, white where near (default: still_depth.png)"
    )
    command.add_argument(
        "--speed",
        type=number(0, 10),
        help="1 (default) is a 64th of the frame, 2.4 %% of size or 1.5 degrees a frame",
    )
    command.add_argument("--easing", help="linear (default), ease-in, ease-out or ease-in-out")
