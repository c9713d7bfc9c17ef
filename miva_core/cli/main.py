"""The command line: which commands there are, and how errors are printed."""

import argparse
import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from ..errors import MIVAError, MIVAWarning
from ..package_fit import misfit_of
from ..text.terminal import PlainStream

_COMMANDS = {
    "animate": (".animate:add_animate", "turn a picture into a clip"),
    "mask": (".mask:add_mask", "find subjects in a picture or clip: by words, boxes, points or a rough mask"),
    "train": (".train:add_train", "learn a motion from about ten clips, or a camera motion from about twenty stills"),
    "camera-clips": (
        ".camera_clips:add_camera_clips",
        "film stills: five clips of a camera motion from each, with their exact flow",
    ),
    "evaluate": (
        ".evaluate:add_evaluate",
        "measure an adapter on stills: flow, smoothness, flickering, fidelity, consistency; a table and plots",
    ),
    "list": (".files:add_list", "show the bases and adapters that are found"),
    "convert": (
        ".convert:add_convert",
        "make an adapter file of a research checkpoint by MIVA's authors (AnimateDiff or Wan)",
    ),
    "export-motion-lora": (
        ".convert:add_export",
        "write the temporal part of an AnimateDiff adapter as a LoRA file that other programs load at strength 1",
    ),
    "info": (".files:add_info", "say what a file is, and what an adapter was trained on"),
}
"""By name: where the function stands that adds a command's arguments to its parser and sets its `run`, and its help.

Modules of commands are imported when their command is given, so that they may import at their top all they need.
"""


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one sentence, like all others, and that expands ~ where no shell does."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.register("type", Path, lambda text: Path(os.path.expanduser(text)))

    def error(self, message: str) -> NoReturn:
        raise MIVAError(f"{message[:1].upper()}{message[1:]} (`{self.prog} --help` shows the usage).")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit code: 0, or 2 after one sentence on what is wrong."""
    try:
        words = sys.argv[1:] if arguments is None else arguments
        options = _parser(words[0] if words else "").parse_args(words)
        with _plain_warnings(), contextlib.redirect_stdout(PlainStream(sys.stdout)):
            options.run(options)
    except (MIVAError, RuntimeError, ImportError, AttributeError) as error:
        misfit = misfit_of(error)
        if not misfit and not isinstance(error, MIVAError):
            raise
        print(f"Error: {misfit or error}", file=PlainStream(sys.stderr))
        return 2
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough. Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        # What no check has foreseen: folders that may not be entered, names that are too long.
        reason = error.strerror or error
        print(f"Error: {error.filename or 'A file'} cannot be used: {reason}.", file=PlainStream(sys.stderr))
        return 2
    except KeyboardInterrupt:
        print("\nStopped: no unfinished file is left.", file=sys.stderr)
        return 2
    return 0


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Shows this package's warnings as plain sentences."""

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        print(message, file=PlainStream(sys.stderr)) if issubclass(category, MIVAWarning) else usual(
            message, category, *where, **more
        )

    with warnings.catch_warnings():
        usual, warnings.showwarning = warnings.showwarning, show
        warnings.simplefilter("always", MIVAWarning)
        yield


def _parser(chosen: str) -> argparse.ArgumentParser:
    """The parser of the program; of its commands only the chosen one gets its arguments."""
    program = "miva" if Path(sys.argv[0]).stem == "miva" else "python -m miva_core"
    parser = OneLineParser(prog=program, description="Animate a still picture by motions kept in small files.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, (reference, text) in _COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if name == chosen:
            _function(reference)(command)
    return parser


def _function(reference: str) -> Callable[[argparse.ArgumentParser], None]:
    """The function of a reference such as ".train:add_train", relative since ComfyUI gives the package another name."""
    module, _, name = reference.partition(":")
    return getattr(import_module(module, __package__), name)
