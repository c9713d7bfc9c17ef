"""The arguments of `list` and `info`."""

import argparse
from pathlib import Path

from .shared import add_folders


def add_list(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `list`."""
    add_folders(command)


def add_info(command: argparse.ArgumentParser) -> None:
    """Add the arguments of `info`."""
    command.add_argument("file", type=Path, help="any file, or the name of a shipped motion")
