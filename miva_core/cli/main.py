"""The command line: which commands there are, and how errors are printed."""

import argparse
import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from ..errors import MIVAError, MIVAWarning
from ..package_fit import misfit_of
from ..text.terminal import PlainStream
from .arguments.animate import add_animate, check_animate
from .arguments.convert import add_convert, add_convert_sana, add_export
from .arguments.evaluate import add_evaluate
from .arguments.files import add_info, add_list
from .arguments.film import add_film
from .arguments.mask import add_mask, check_mask
from .arguments.motion_clips import add_motion_clips
from .arguments.train import add_train, check_train
from .arguments.transfer import add_transfer


class Command(NamedTuple):
    """A command of the program.

    Attributes:
        help: what it does.
        add_arguments: adds its arguments to its parser.
        run: where the function that runs it stands, as ".module:function". Its module is imported once the arguments
            are read, so that help and wrong arguments are answered before torch and all else that it needs is loaded.
        check: refuses arguments that do not go together.
    """

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: str
    check: Callable[[argparse.Namespace], None] | None = None

    def function(self) -> Callable[[argparse.Namespace], None]:
        """Import the function of `run`, relatively, since in ComfyUI the package has another name."""
        module, _, name = self.run.partition(":")
        return getattr(import_module(module, __package__), name)


COMMANDS = {
    "animate": Command(
        "turn a picture into a clip, or each picture of a folder", add_animate, ".animate:run_animate", check_animate
    ),
    "film": Command("let a picture, or parts of it, move by formulas: no network is asked", add_film, ".film:run_film"),
    "transfer": Command("let a picture move as a clip does", add_transfer, ".transfer:run_transfer"),
    "mask": Command(
        "find subjects in a picture or clip: by words, boxes, points or a rough mask",
        add_mask,
        ".mask:run_mask",
        check_mask,
    ),
    "train": Command(
        "learn a motion from about ten clips, or one that is filmed over about twenty stills",
        add_train,
        ".train:run_train",
        check_train,
    ),
    "motion-clips": Command(
        "film stills: five clips of a motion from each, with their exact flow and masks",
        add_motion_clips,
        ".motion_clips:run_motion_clips",
    ),
    "evaluate": Command(
        "measure an adapter on stills: flow, smoothness, flickering, fidelity, consistency; a table and plots",
        add_evaluate,
        ".evaluate:run_evaluate",
    ),
    "list": Command("show the bases and adapters that are found", add_list, ".files:run_list"),
    "convert": Command(
        "make an adapter file of a research checkpoint by MIVA's authors (AnimateDiff or Wan)",
        add_convert,
        ".convert:run_convert",
    ),
    "convert-sana": Command(
        "make the weights that a training of MiraMo starts from, of SANA 600M's",
        add_convert_sana,
        ".convert_sana:run_convert_sana",
    ),
    "export-motion-lora": Command(
        "write the temporal part of an AnimateDiff adapter as a LoRA file that other programs load at strength 1",
        add_export,
        ".export:run_export",
    ),
    "info": Command("say what a file is, and what an adapter was trained on", add_info, ".files:run_info"),
}


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
        options = _parser().parse_args(arguments)
        with _plain_warnings(), contextlib.redirect_stdout(PlainStream(sys.stdout)):
            _run(options)
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
        # Help does not wait for it. A sentence must not stand behind a bar, on its line.
        from tqdm import tqdm

        with tqdm.external_write_mode(sys.stderr):
            print(message, file=PlainStream(sys.stderr)) if issubclass(category, MIVAWarning) else usual(
                message, category, *where, **more
            )

    with warnings.catch_warnings():
        usual, warnings.showwarning = warnings.showwarning, show
        warnings.simplefilter("always", MIVAWarning)
        yield


def _parser() -> argparse.ArgumentParser:
    program = "miva" if Path(sys.argv[0]).stem == "miva" else "python -m miva_core"
    parser = OneLineParser(prog=program, description="Animate a still picture by motions kept in small files.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        subparser = commands.add_parser(name, help=command.help, description=command.help)
        command.add_arguments(subparser)
        subparser.set_defaults(command=command)
    return parser


def _run(options: argparse.Namespace) -> None:
    command: Command = options.command
    if command.check:
        command.check(options)
    command.function()(options)
