"""The command `mask`: masks of subjects in a picture or clip."""

import argparse
from pathlib import Path

from torch import Tensor

from ..clips.files import read_frames
from ..clips.stills import is_picture
from ..media.pictures import read_picture
from ..media.video_decoding import is_animation
from ..storage.files import looks_like, require_file, whole_folder
from .file_checks import check_new_folder


def run_mask(options: argparse.Namespace) -> None:
    check_new_folder(options.out)
    frames = _read(options.source)
    # Late, since torchvision takes a second, for which no picture that is not there shall have to wait.
    from .mask_results import find_masks, write_results

    found = find_masks(frames, options)
    with whole_folder(options.out) as folder:
        write_results(folder, frames, found, options.key_frame or 0)
    print(f"Wrote {', '.join(found.labels)} into {options.out}: masks, overlay.png and boxes.json.")


def _read(path: Path) -> Tensor:
    """Read frames (F, H, W, 3) in [0, 1]; a picture is one."""
    return read_picture(path)[None] if _is_picture(path) else read_frames(path)


def _is_picture(path: Path) -> bool:
    """Whether this is a still picture, by its content, or by its ending where the content is not known."""
    if path.is_dir():
        return False
    has_picture = looks_like(require_file(path, "picture")).endswith(" picture") or is_picture(path)
    return has_picture and not is_animation(path)
