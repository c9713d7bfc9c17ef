"""Arguments that several commands have, and types of their values."""

import argparse
import contextlib
from collections.abc import Callable
from pathlib import Path

from ...bases.registry import BASES


def add_base(parser: argparse.ArgumentParser, default: str | None, about_default: str) -> None:
    """The options that name a base, its files and the device it runs on.

    Args:
        parser: that gets them.
        default: the base if none is named; None where it depends on what else is asked for.
        about_default: what the help says of that.
    """
    *names, last = BASES
    listed = f"the video model: {', '.join(names)} or {last} (default: {about_default})"
    parser.add_argument("--base", default=default, help=listed)
    for argument, text in base_files().items():
        parser.add_argument(f"--{argument.replace('_', '-')}", type=Path, metavar="FILE", help=text)
    parser.add_argument("--device", help="cpu, cuda … (default: the graphics card if there is one)")


def add_edges(look: argparse._ArgumentGroup) -> None:
    """The option for where a camera would look beyond the picture."""
    look.add_argument(
        "--edges",
        choices=("inside", "mirror"),
        default="inside",
        help="inside: a part of the picture is shown, so that a camera never looks beyond it (default); mirror: all of "
        "it, and what comes into view is mirrored",
    )


def base_files() -> dict[str, str]:
    """The help for each file that some base is loaded from, by its argument of `load_base`."""
    uses: dict[str, dict[str, str]] = {}
    for spec in BASES.values():
        for file in spec.files:
            uses.setdefault(file.argument, {})[spec.name] = file.option_help
    return {argument: _help_of_file(texts) for argument, texts in uses.items()}


def _help_of_file(texts: dict[str, str]) -> str:
    """What a file is, by the names of the bases; those for which it is the same are named together."""
    bases: dict[str, list[str]] = {}
    for base, text in texts.items():
        bases.setdefault(text, []).append(base)
    return "; ".join(f"for {_listed(names)}: {text}" for text, names in bases.items())


def _listed(names: list[str]) -> str:
    """One name, or several as in "a, b and c"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def add_models(command: argparse.ArgumentParser) -> None:
    """The options that name the models which find subjects."""
    command.add_argument(
        "--detector", type=Path, metavar="FILE", help="Grounding DINO: groundingdino_swint_ogc.pth, or a folder"
    )
    command.add_argument(
        "--segmenter", type=Path, metavar="FILE", help="SAM 2: sam2.1_hiera_tiny.pt and its kin, or a folder"
    )
    command.add_argument(
        "--vocabulary", type=Path, metavar="FILE", help="bert-base-uncased's vocab.txt, if not beside the detector"
    )
    command.add_argument("--confidence", type=share, help="of the detector, 0 to 1; lower finds more (default: 0.3)")


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


def number(above: float, high: float) -> Callable[[str], float]:
    """The type of an option that is a number above `above` and up to `high`."""

    def read(text: str) -> float:
        with contextlib.suppress(ValueError):
            if above < float(text) <= high:
                return float(text)
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above {above:g} and up to {high:g}")

    return read


def ranged(low: float, high: float) -> Callable[[str], float]:
    """The type of an option that is a number from `low` to `high`."""

    def read(text: str) -> float:
        with contextlib.suppress(ValueError):
            if low <= float(text) <= high:
                return float(text)
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low:g} to {high:g}")

    return read


share = ranged(0, 1)
"""The type of an option that is a number from 0 to 1."""
