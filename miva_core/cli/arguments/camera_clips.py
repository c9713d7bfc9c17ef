"""The arguments of `camera-clips`."""

import argparse
from pathlib import Path

from .shared import number, whole


def add_camera_clips(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    command.add_argument("stills", type=Path, help="folder of pictures")
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
        name: of the one that names the camera motion, such as "--camera".
        required: whether that one must be given.
    """
    command.add_argument(
        name,
        metavar="MOTION",
        dest="camera",
        required=required,
        help="pan-left, pan-right, pan-up, pan-down, zoom-in, zoom-out, roll-cw or roll-ccw",
    )
    command.add_argument(
        "--speed",
        type=number(0, 10),
        help="1 (default) is a 64th of the frame's width, 2.4 %% of size or 1.5 degrees a frame",
    )
    command.add_argument("--easing", help="linear (default), ease-in, ease-out or ease-in-out")
