"""What several commands need: types of options, and checks of the files they name."""

import argparse
import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from .errors import MIVAError


def add_folders(parser: argparse.ArgumentParser) -> None:
    """The option that names further folders of adapters."""
    parser.add_argument(
        "--adapters", type=Path, action="append", default=[], metavar="FOLDER", help="look for adapters here too"
    )


def whole(low: int, high: int) -> Callable[[str], int]:
    """The type of an option that is a whole number from `low` to `high`."""

    def read(text: str) -> int:
        with contextlib.suppress(ValueError):
            if low <= int(text) <= high:
                return int(text)
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")

    return read


def share(text: str) -> float:
    """The type of an option that is a number from 0 to 1."""
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")


def check_distinct(written: Sequence[Path | None], read: Sequence[Path]) -> None:
    """Nothing that is read is to be replaced, nor one result by another."""
    taken = list(read)
    for path in filter(None, written):
        for other in taken:
            if os.path.realpath(path) == os.path.realpath(other):
                raise MIVAError(f"{path} would be written over {other}: name another file.")
        taken.append(path)
