"""Find and read the pictures in a folder: stills, their masks, and the frames of a clip."""

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from torch import Tensor

from ..checks import printable
from ..errors import MIVAError, MIVAWarning
from ..media.pictures import read_cutout
from ..media.transparency import warn_over_white
from .names import VIDEOS
from .skipped import describe_skipped, shorten_list, visible_entries

_NO_STILLS = dict.fromkeys(VIDEOS, "a video, which is no still")
_MASK = re.compile(r"_masks?$")
PICTURES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".apng", ".bmp", ".tif", ".tiff", ".tga", ".jp2"),
    *(".ppm", ".pgm", ".qoi", ".hdr"),
)
"""Endings of still pictures, and of a clip's frames."""


def find_stills(folder: Path) -> dict[Path, Path | None]:
    """Find the picture files in a folder, sorted, and the mask of each: `still_mask.png` for `still.jpg`.

    Depth maps are no stills, see `find_depth`. A `MIVAWarning` names what else is there.

    Args:
        folder: the folder.

    Returns:
        The path of each still, with the path of its mask or None.

    Raises:
        MIVAError: no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise MIVAError(f"{folder} is no folder: name one that holds stills.")
    entries = visible_entries(folder)
    found = list(filter(is_still, entries))
    skipped = describe_skipped(sorted({*entries} - {*found}), is_still, _NO_STILLS)
    if not found:
        there = f" There are: {skipped}." if skipped else ""
        raise MIVAError(f"There are no stills in {folder}: put pictures such as .png, .jpg or .webp into it.{there}")
    if skipped:
        warnings.warn(f"Passed over in {folder}, which is read for stills: {skipped}.", MIVAWarning, stacklevel=2)
    masks = {path.stem.lower(): path for path in found if _MASK.search(path.stem.lower())}
    mask_of = {path: next((masks[stem] for stem in mask_stems(path) if stem in masks), None) for path in found}
    taken = {*mask_of.values(), *(find_depth(path, found) for path in found)}
    return {path: mask for path, mask in mask_of.items() if path not in taken}


def mask_stems(still: Path) -> tuple[str, str]:
    """What the mask of a still may be called, in lower case and without its ending."""
    return f"{still.stem.lower()}_mask", f"{still.stem.lower()}_masks"


def find_depth(still: Path, among: Iterable[Path]) -> Path | None:
    """Find the depth map of a still among pictures: `still_depth.png` for `still.jpg`."""
    return next((path for path in among if path.stem.lower() == f"{still.stem.lower()}_depth"), None)


def is_still(path: Path) -> bool:
    """Whether a path is that of a still picture, to judge by its ending."""
    # The first frame of an animation is read.
    return path.suffix.lower() in (*PICTURES, ".gif") and not path.is_dir()


def read_stills(folder: Path, needed_side: int | None = None) -> list[tuple[str, Tensor]]:
    """Read the pictures in a folder, without masks.

    What is transparent is put over white; a `MIVAWarning` names these pictures.

    Args:
        folder: the folder.
        needed_side: pixels that suffice along the shorter side, see `read_large_picture`.

    Returns:
        The name of each still, with its ending where two share a name, and the picture (H, W, 3) in [0, 1].

    Raises:
        MIVAError: as from `find_stills`, or some cannot be read; all of them are named.
    """
    return read_pictures(list(find_stills(folder)), needed_side)


def read_pictures(paths: Sequence[Path], needed_side: int | None = None) -> list[tuple[str, Tensor]]:
    """Read stills; see `read_stills`, which finds them, too.

    Args:
        paths: of the files.
        needed_side: as in `read_stills`.

    Raises:
        MIVAError: some cannot be read; all of them are named.
    """
    stills, transparent, problems = [], [], []
    counts = Counter(path.stem for path in paths)
    for path in paths:
        try:
            picture, opacity = read_cutout(path, needed_side)
        except MIVAError as error:
            problems.append(str(error))
            continue
        stills.append((path.stem if counts[path.stem] == 1 else path.name, picture))
        transparent += [] if opacity is None else [printable(path.name)]
    if problems:
        raise MIVAError(" ".join(problems))
    if transparent:
        warn_over_white(shorten_list(transparent))
    return stills


def frame_files(folder: Path) -> list[Path]:
    """List the pictures in a folder as frames of a clip, by number: 2.png comes before 10.png.

    Raises:
        MIVAError: the folder cannot be opened.
    """

    def by_number(path: Path) -> list[tuple[int, str]]:
        return [(int(p), "") if p.isdecimal() else (-1, p) for p in re.split(r"(\d+)", path.name.lower())]

    return sorted(filter(is_picture, visible_entries(folder)), key=by_number)


def is_picture(path: Path) -> bool:
    """Whether a path has the ending of a still picture."""
    return path.suffix.lower() in PICTURES
