"""Checks of the files and folders that a command is to write, before any work."""

import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import MIVAError
from ..storage.files import check_fillable


def check_parent(folder: Path) -> None:
    """Check that there is a folder to make this one in."""
    if not folder.parent.is_dir():
        raise MIVAError(f"There is no folder {folder.parent} to make {folder.name} in: create it first.")


def check_new_folder(folder: Path) -> None:
    """Check, before any work, that a folder of results can be made and filled, and that nothing is in it."""
    check_parent(folder)
    if folder.exists() and not folder.is_dir():
        raise MIVAError(f"{folder} is a file: name a folder.")
    if folder.exists() and any(folder.iterdir()):
        raise MIVAError(f"{folder} exists already and is not empty: name another folder.")
    check_fillable(folder if folder.exists() else folder.parent)


def check_distinct(written: Sequence[Path | None], read: Sequence[Path]) -> None:
    """Nothing that is read is to be replaced, nor one result by another."""
    taken = {os.path.realpath(path): path for path in read}
    for path in filter(None, written):
        other = taken.setdefault(os.path.realpath(path), path)
        if other is not path:
            raise MIVAError(f"{path} would be written over {other}: name another file.")
