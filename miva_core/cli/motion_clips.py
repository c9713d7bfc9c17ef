"""The command `motion-clips`: films stills."""

import argparse
from collections.abc import Sequence

from einops import rearrange, repeat
from tqdm import tqdm

from ..errors import MIVAError
from ..filming.flow_files import write_flow
from ..filming.motion_clips import CLIPS_PER_STILL, film_stills
from ..filming.shooting import Shooting
from ..filming.still import Still, read_mapped_stills
from ..media.pictures import parse_size
from ..media.video import write_video
from ..motion_fields.motions import motion_field, spoken
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
    return Shooting(options.film, size, frames, **chosen)


def check_depth_maps(options: argparse.Namespace) -> None:
    """Check that depth maps are named for what needs them alone, by the arguments of `add_shooting`.

    Raises:
        MIVAError: there is no such motion, or it does not go into depth.
    """
    motion = motion_field(options.film)
    if options.depth and motion.needs != "nearness":
        raise MIVAError(f"{spoken(motion.name)} does not go into depth, as truck and dolly do: leave --depth out.")


def run_motion_clips(options: argparse.Namespace) -> None:
    check_depth_maps(options)
    shooting = chosen_shooting(options, parse_size(options.size), options.frames)
    check_new_folder(options.out)
    stills = read_mapped_stills(options.stills, shooting.field, shooting.needed_side, options.depth)
    count, with_masks = _write_clips(stills, shooting, options)
    masks = " and masks" if with_masks else ""
    print(f"Wrote {count} clips of {spoken(shooting.field.name)} into {options.out}, each with its exact flow{masks}.")


def _write_clips(stills: Sequence[Still], shooting: Shooting, options: argparse.Namespace) -> tuple[int, bool]:
    """Write all clips; returns how many they are, and whether they have masks."""
    clips, count, with_masks = film_stills(stills, shooting, options.seed), CLIPS_PER_STILL * len(stills), False
    with whole_folder(options.out) as folder:
        for name, clip in tqdm(clips, total=count, unit="clip", delay=0.5):
            write_video(rearrange(clip.frames, "f c h w -> f h w c"), folder / f"{name}.mp4", options.fps)
            for mask in clip.masks:
                write_video(repeat(mask, "f h w -> f h w 3"), folder / f"{name}_mask.mp4", options.fps)
                with_masks = True
            write_flow(clip, folder, name)
    return count, with_masks
