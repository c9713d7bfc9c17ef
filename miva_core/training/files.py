"""The files of a training: where they are, who may write them, and how it goes on from them."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..errors import MIVAError
from ..storage.files import check_new, check_writable, sweep
from .kept_encodings import count_encodings
from .lock import training_lock
from .loop import CHECKPOINT
from .report import REPORT
from .state import read_state

ENCODED = "encoded"
"""The folder, in that of a training, with its encoded clips."""


def training_folder(out: Path) -> Path:
    """The folder, beside an adapter file, that its training keeps its checkpoint, validation clips and report in."""
    return out.with_suffix(".training")


def is_first_process() -> bool:
    """Whether this process is the first, or the only one, of those that were launched together; it writes all files."""
    return os.environ.get("RANK", "0") == "0"


def check_start(out: Path, resume: bool, partner: Path | None = None) -> None:
    """Check, before anything is loaded, that a training can begin or go on, and will be able to write its file.

    Args:
        out: the adapter file.
        resume: whether it is to go on.
        partner: the file of another motion that is trained together with it.

    Raises:
        MIVAError: a file exists, or cannot be written; another training is making it; or there is a checkpoint and it
            is not to go on, or none and it is to.
    """
    with held(out, partner):
        check_files(out, resume, partner)


@contextmanager
def held(out: Path, partner: Path | None) -> Iterator[None]:
    """Hold the files of a training, free of what killed ones have left of them.

    Args:
        out: the adapter file.
        partner: the file of another motion that is trained together with it.

    Raises:
        MIVAError: another training is making one of them, or it cannot be written.
    """
    with ExitStack() as stack:
        for path in _written(out, partner):
            check_writable(path, (".safetensors",))
            if is_first_process():
                stack.enter_context(training_lock(training_folder(path), path))
                for place in (path, training_folder(path), training_folder(path) / ENCODED):
                    sweep(place)
        yield


def check_files(out: Path, resume: bool, partner: Path | None) -> None:
    """Check what `check_start` does, of files that are held already.

    Args:
        out: the adapter file.
        resume: whether the training is to go on.
        partner: the file of another motion that is trained together with it.

    Raises:
        MIVAError: see `check_start`.
    """
    folder = training_folder(out)
    found = (folder / CHECKPOINT).is_file()
    if not (resume and found and lacks_its_report(out)):
        for path in _written(out, partner):
            check_new(path, (".safetensors",))
    if found and not resume:
        raise MIVAError(
            f"A training of {out.name} was begun in {folder}: go on with --resume, or remove that folder to begin anew."
        )
    if resume and not found:
        raise MIVAError(f"There is no training to go on with in {folder}: leave --resume out.")


def lacks_its_report(out: Path) -> bool:
    """Whether a training has done all its steps, but was killed before its last file, the report, was written.

    Args:
        out: the adapter file.

    Raises:
        MIVAError: its checkpoint is missing or damaged.
    """
    folder = training_folder(out)
    if (folder / REPORT).is_file():
        return False
    state = read_state(folder / CHECKPOINT)
    return state.step >= state.settings["steps"]


def how_to_go_on(out: Path) -> str:
    """Say of a training that was stopped at once what is kept, what is lost, and which command goes on.

    Args:
        out: the adapter file.
    """
    folder = training_folder(out)
    if (folder / CHECKPOINT).is_file():
        kept = f"All up to step {read_state(folder / CHECKPOINT).step} is kept, what came after it is lost"
        return f"{kept}: go on by the same command and --resume."
    clips = "the clips that were encoded are" if count_encodings(folder / ENCODED) else "nothing is"
    return f"No step had been saved yet, {clips} kept: begin anew by the same command."


def _written(out: Path, partner: Path | None) -> list[Path]:
    return [out, partner] if partner else [out]
