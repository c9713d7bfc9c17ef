"""The command `transfer`: the motion of a clip for a picture."""

import argparse

from torch import Tensor

from ..animation.clip import Clip
from ..clips.files import read_timed_frames
from ..media.pictures import read_mask, read_picture, scale_picture
from ..media.video import check_rate
from ..motion_transfer.transfer import INVENTED, MovedPicture
from ..rendering.timing import FPS
from ..storage import files
from .clip_files import ClipFiles, progress_bar, write_clip
from .file_checks import check_distinct

_LONGEST_SIDE = 512
"""Pixels of a clip's longer side: no more is measured, and a long shot must go into memory."""


def run_transfer(options: argparse.Namespace) -> None:
    """Run the command."""
    target = ClipFiles(options.out, [INVENTED] if options.save_invented else [])
    target.check_writable()
    if options.sheet:
        files.check_writable(options.sheet, (".png",))
    read = [options.clip, options.picture, *([options.mask] if options.mask else [])]
    check_distinct([*target.paths, options.sheet], read)
    picture = read_picture(options.picture)
    mask = read_mask(options.mask) if options.mask else None
    frames, rate = read_timed_frames(options.clip, _small)
    fps = options.fps or rate or FPS
    check_rate(options.out, fps)
    with progress_bar("Following", len(frames), "frame") as bar:
        moved = MovedPicture.of(frames, picture, options.strength, mask, lambda _: bar.update())
    write_clip(Clip(moved, fps), target, options.sheet, f"{options.picture.stem} like {options.clip.stem}")


def _small(frame: Tensor) -> Tensor:
    height, width = frame.shape[:2]
    scale = _LONGEST_SIDE / max(height, width)
    return frame if scale >= 1 else scale_picture(frame, (max(1, round(height * scale)), max(1, round(width * scale))))
