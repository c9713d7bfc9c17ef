"""Options that several commands have, and checks of the files they name."""

import argparse
import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..bases.base import Base
from ..bases.loading import load_base
from ..bases.registry import BASES
from ..errors import MIVAError
from ..storage.files import check_fillable

if TYPE_CHECKING:
    from ..subject_mask.detector import Detector
    from ..subject_mask.segmenter import Segmenter


def add_base(parser: argparse.ArgumentParser) -> None:
    """The options that name a base, its files and the device it runs on."""
    default, *others = BASES
    names = f"{default} (default), {', '.join(others[:-1])} or {others[-1]}"
    parser.add_argument("--base", default=default, help=f"the video model: {names}")
    for argument, text in _base_files().items():
        parser.add_argument(f"--{argument.replace('_', '-')}", type=Path, metavar="FILE", help=text)
    parser.add_argument("--device", help="cpu, cuda … (default: the graphics card if there is one)")


def _base_files() -> dict[str, str]:
    """The help for each file that some base is loaded from, by its argument of `load_base`."""
    texts: dict[str, list[str]] = {}
    for spec in BASES.values():
        for file in spec.files:
            texts.setdefault(file.argument, []).append(f"for {spec.name} {file.option_help}")
    return {argument: ", ".join(parts) for argument, parts in texts.items()}


def load_chosen_base(options: argparse.Namespace, where: torch.device, dtype: torch.dtype | None = None) -> Base:
    """The base that `add_base`'s options name; its dtype as in `load_base`."""
    files = {argument: getattr(options, argument) for argument in _base_files()}
    return load_base(options.base, device=where, dtype=dtype, **files)


def device(name: str | None) -> torch.device:
    """The device a user names, or the graphics card if there is one: of several processes, each its own.

    Raises:
        MIVAError: nothing can be computed there.
    """
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        name = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
    try:
        # Reading back finds devices that cannot compute, such as "meta".
        probe = torch.zeros(1, device=name)
        probe.cpu()
    except (RuntimeError, AssertionError, ImportError) as error:
        raise MIVAError(f"The device {name!r} cannot be used here: leave --device out, or give cpu.") from error
    return probe.device


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


def chosen_confidence(options: argparse.Namespace) -> float:
    """The confidence that `add_models`'s options ask for, 0.3 by default."""
    return 0.3 if options.confidence is None else options.confidence


def load_chosen_detector(options: argparse.Namespace) -> "Detector":
    """The detector that `add_models`'s options name."""
    # Late, since torchvision takes seconds, which commands without such a model need not wait for.
    from ..subject_mask.model_files import load_detector

    return load_detector(options.detector, options.vocabulary, str(device(options.device)))


def load_chosen_segmenter(options: argparse.Namespace) -> "Segmenter":
    """The segmenter that `add_models`'s options name."""
    from ..subject_mask.model_files import load_segmenter

    return load_segmenter(options.segmenter, str(device(options.device)))


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


def share(text: str) -> float:
    """The type of an option that is a number from 0 to 1."""
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")


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
    taken = list(read)
    for path in filter(None, written):
        for other in taken:
            if os.path.realpath(path) == os.path.realpath(other):
                raise MIVAError(f"{path} would be written over {other}: name another file.")
        taken.append(path)
