"""Where adapters are found by name."""

import difflib
import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import MIVAError
from .registry import BASES


def shipped_folders() -> list[Path]:
    """The folders of adapters that come with the bases."""
    return [spec.adapters for spec in BASES.values() if spec.adapters]


def find_adapters(folders: Sequence[Path] = ()) -> dict[str, Path]:
    """Adapter files by name (the file's stem): the shipped ones, then those in `folders`, later folders first in rank.

    Raises:
        MIVAError: a folder is missing.
    """
    found: dict[str, Path] = {}
    for folder in (*shipped_folders(), *folders):
        if not folder.is_dir():
            raise MIVAError(f"There is no folder {folder} to look for adapters in: check the name.")
        found |= {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() == ".safetensors"}
    return found


def resolve_adapter(name: str, folders: Sequence[Path] = ()) -> Path:
    """The file that a user means by a path or a name.

    Raises:
        MIVAError: nothing of that name; the message gives names that are close to it, if any are.
    """
    path = Path(os.path.expanduser(name))
    if path.is_file():
        return path
    found = find_adapters(folders)
    by_name = {key.casefold(): file for key, file in found.items()}
    wanted = name.casefold().removesuffix(".safetensors")
    if wanted in by_name:
        return by_name[wanted]
    if path.suffix.lower() == ".safetensors":
        return path
    if not found:
        raise MIVAError(f"There is no adapter {name!r}, nor any other: name a .safetensors file, or a folder of them.")
    near = [by_name[key].stem for key in difflib.get_close_matches(wanted, by_name, n=3, cutoff=0.5)]
    advice = f"did you mean {' or '.join(near)}? (`list` shows all.)" if near else "`list` shows all there are."
    raise MIVAError(f"There is no adapter {name!r}: {advice}")
