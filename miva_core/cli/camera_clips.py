"""The command `camera-clips`: films stills."""

import argparse

from einops import rearrange
from tqdm import tqdm

from ..clips.camera_clips import CLIPS_PER_STILL, Shooting, film_stills, write_flow
from ..clips.stills import read_stills
from ..media.pictures import parse_size
from ..media.video import write_video
from ..storage.files import whole_folder
from .file_checks import check_new_folder


def chosen_shooting(options: argparse.Namespace, size: tuple[int, int], frames: int) -> Shooting:
    """How stills are filmed by the arguments of `add_shooting`.

    Args:
        options: of the command.
        size: (height, width) of the clips, in pixels.
        frames: of each clip.
    """
    chosen = {name: getattr(options, name) for name in ("speed", "easing") if getattr(options, name) is not None}
    return Shooting(options.camera.replace("_", "-"), size, frames, **chosen)


def run_camera_clips(options: argparse.Namespace) -> None:
    shooting = chosen_shooting(options, parse_size(options.size), options.frames)
    check_new_folder(options.out)
    stills = read_stills(options.stills, shooting.needed_side)
    clips, count = film_stills(stills, shooting, options.seed), CLIPS_PER_STILL * len(stills)
    with whole_folder(options.out) as folder:
        for name, clip in tqdm(clips, total=count, unit="clip", delay=0.5):
            write_video(rearrange(clip.frames, "f c h w -> f h w c"), folder / f"{name}.mp4", options.fps)
            write_flow(clip, folder / f"{name}_flow.json")
    print(f"Wrote {count} clips of {options.camera} into {options.out}, each with its exact flow.")
