"""Pictures in a folder."""

import re
from pathlib import Path

from torch import Tensor

from .errors import MIVAError
from .pictures import read_large_picture

_MASK = re.compile(r"_masks?$")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif")


def find_stills(folder: Path) -> dict[Path, Path | None]:
    """The picture files in a folder, sorted, each with that of its mask: `still_mask.png` for `still.jpg`.

    Raises:
        MIVAError: no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise MIVAError(f"{folder} is no folder: name one that holds stills.")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES and path.name[0] != ".")
    if not found:
        raise MIVAError(f"There are no stills in {folder}: put pictures ({', '.join(PICTURES)}) into it.")
    names = {path: path.stem.lower() for path in found}
    masks = {name: path for path, name in names.items() if _MASK.search(name)}
    beside = {path: masks.get(f"{name}_mask") or masks.get(f"{name}_masks") for path, name in names.items()}
    taken = set(beside.values())
    return {path: mask for path, mask in beside.items() if path not in taken}


def read_stills(folder: Path, enough: int | None = None) -> list[tuple[str, Tensor]]:
    """The pictures in a folder but for masks, (H, W, 3) in [0, 1], by name, or file name where two share one.

    Args:
        enough: pixels that suffice along the shorter side, see `read_large_picture`.

    Raises:
        MIVAError: as from `find_stills`, or some cannot be read; all of them are named.
    """
    paths, stills, problems = list(find_stills(folder)), [], []
    stems = [path.stem for path in paths]
    for path in paths:
        try:
            stills.append(
                (path.stem if stems.count(path.stem) == 1 else path.name, read_large_picture(path, enough)[0])
            )
        except MIVAError as error:
            problems.append(str(error))
    if problems:
        raise MIVAError(" ".join(problems))
    return stills
