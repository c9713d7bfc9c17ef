"""The command `camera-clips`: films stills."""

import argparse
from pathlib import Path

from einops import rearrange
from tqdm import tqdm

from ..clips.camera_clips import CLIPS_PER_STILL, Shooting, film_stills, write_flow
from ..clips.stills import read_stills
from ..media.pictures import parse_size
from ..media.video import write_video
from ..storage.files import whole_folder
from .options import check_new_folder, number, whole


def add_camera_clips(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    command.add_argument("stills", type=Path, help="folder of pictures")
    add_shooting(command, "--motion", required=True)
    command.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="made if it is not there")
    command.add_argument("--size", default="512x320", metavar="WIDTHxHEIGHT", help="default: 512x320")
    command.add_argument("--frames", type=whole(2, 1000), default=16, help="of each clip (default: 16)")
    command.add_argument("--fps", type=whole(1, 60), default=8, help="frames per second (default: 8)")
    command.add_argument("--seed", type=whole(0, 2**31 - 1), default=0)
    command.set_defaults(run=_camera_clips)


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


def chosen_shooting(options: argparse.Namespace, size: tuple[int, int], frames: int) -> Shooting:
    """How stills are filmed by the arguments of `add_shooting`.

    Args:
        options: of the command.
        size: (height, width) of the clips, in pixels.
        frames: of each clip.
    """
    chosen = {name: getattr(options, name) for name in ("speed", "easing") if getattr(options, name) is not None}
    return Shooting(options.camera.replace("_", "-"), size, frames, **chosen)


def _camera_clips(options: argparse.Namespace) -> None:
    shooting = chosen_shooting(options, parse_size(options.size), options.frames)
    check_new_folder(options.out)
    stills = read_stills(options.stills, shooting.needed_side)
    clips, count = film_stills(stills, shooting, options.seed), CLIPS_PER_STILL * len(stills)
    with whole_folder(options.out) as folder:
        for name, clip in tqdm(clips, total=count, unit="clip", delay=0.5):
            write_video(rearrange(clip.frames, "f c h w -> f h w c"), folder / f"{name}.mp4", options.fps)
            write_flow(clip, folder / f"{name}_flow.json")
    print(f"Wrote {count} clips of {options.camera} into {options.out}, each with its exact flow.")
