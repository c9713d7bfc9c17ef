"""Pictures in a folder."""

from pathlib import Path

from torch import Tensor

from .errors import MIVAError
from .pictures import read_picture

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif")


def find_stills(folder: Path) -> list[Path]:
    """The picture files in a folder by name; hidden ones are left out.

    Raises:
        MIVAError: no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise MIVAError(f"{folder} is no folder: name one that holds stills.")
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES and path.name[0] != ".")
    if not found:
        raise MIVAError(f"There are no stills in {folder}: put pictures ({', '.join(PICTURES)}) into it.")
    return found


def read_stills(folder: Path) -> list[tuple[str, Tensor]]:
    """The pictures in a folder, (H, W, 3) in [0, 1], by name, with its ending where two differ in that alone.

    Raises:
        MIVAError: as from `find_stills`, or some cannot be read; all of them are named.
    """
    paths, stills, problems = find_stills(folder), [], []
    stems = [path.stem for path in paths]
    for path in paths:
        try:
            stills.append((path.stem if stems.count(path.stem) == 1 else path.name, read_picture(path)))
        except MIVAError as error:
            problems.append(str(error))
    if problems:
        raise MIVAError(" ".join(problems))
    return stills
