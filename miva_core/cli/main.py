"""The command line: animate a picture, list what there is, say what a file is."""

import argparse
import contextlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..checks import printable
from ..errors import MIVAError, MIVAWarning
from ..package_fit import misfit_of
from ..text.terminal import PlainStream
from .animate import add_animate
from .evaluate import add_evaluate
from .mask import add_mask
from .options import add_folders
from .train import add_camera_clips, add_train

_LONGEST_ROW = 2000
"""Characters; names of clips may fill some lines, but what a stranger has written is not to fill the screen."""


class OneLineParser(argparse.ArgumentParser):
    """A parser whose mistakes are told in one sentence, like all others, and that knows ~ where no shell expands it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.register("type", Path, lambda text: Path(os.path.expanduser(text)))

    def error(self, message: str) -> NoReturn:
        raise MIVAError(f"{message[:1].upper()}{message[1:]} (`{self.prog} --help` shows the usage).")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit code: 0, or 2 after one sentence on what is wrong."""
    try:
        options = _parser().parse_args(arguments)
        with _told_notes(), contextlib.redirect_stdout(PlainStream(sys.stdout)):
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
def _told_notes() -> Iterator[None]:
    """Our own warnings as plain sentences."""

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        print(message, file=PlainStream(sys.stderr)) if issubclass(category, MIVAWarning) else usual(
            message, category, *where, **more
        )

    with warnings.catch_warnings():
        usual, warnings.showwarning = warnings.showwarning, show
        warnings.simplefilter("always", MIVAWarning)
        yield


def _parser() -> argparse.ArgumentParser:
    # As it was called: by the command that `pip install` makes, or as a module.
    program = "miva" if Path(sys.argv[0]).stem == "miva" else "python -m miva_core"
    parser = OneLineParser(prog=program, description="Animate a still picture by motions kept in small files.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    add_animate(commands)
    add_mask(commands)
    add_train(commands)
    add_camera_clips(commands)
    add_evaluate(commands)

    text = "show the bases and adapters that are found"
    listing = commands.add_parser("list", help=text, description=text)
    add_folders(listing)
    listing.set_defaults(run=_list)

    _add_convert(commands)
    _add_export(commands)

    text = "say what a file is, and what an adapter was trained on"
    info = commands.add_parser("info", help=text, description=text)
    info.add_argument("file", type=Path)
    info.set_defaults(run=_info)
    return parser


def _add_convert(commands: argparse._SubParsersAction) -> None:
    text = "make an adapter file of a research checkpoint by MIVA's authors (AnimateDiff or Wan)"
    command = commands.add_parser("convert", help=text, description=text)
    command.add_argument("official", type=Path, help="adapter.pt, or checkpoint_step_….ckpt")
    command.add_argument("out", type=Path, help="the adapter file, ending in .safetensors")
    command.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FILE",
        help="the Stable Diffusion 1.5 or Wan 2.1 1.3B file it was trained on (after PEFT only needed to compare)",
    )
    command.add_argument("--alpha", type=float, help="after training by PEFT: its lora_alpha, which no file tells")
    command.add_argument("--motion", help="name of the motion (default: the name of the new file)")
    command.add_argument("--subject", default="", help="what moves, in a word or two; nothing for a camera move")
    command.set_defaults(run=_convert)


def _add_export(commands: argparse._SubParsersAction) -> None:
    text = "write the temporal part of an AnimateDiff adapter as a LoRA file that other programs load at strength 1"
    command = commands.add_parser("export-motion-lora", help=text, description=text)
    command.add_argument("adapter", help="its name or file")
    command.add_argument("out", type=Path, help="the LoRA file, ending in .safetensors")
    command.add_argument(
        "--layout",
        choices=("motion-lora", "peft"),
        default="motion-lora",
        help="names as in AnimateDiff's MotionLoRA files (default), or as diffusers and peft read them",
    )
    command.set_defaults(run=_export)


def _export(options: argparse.Namespace) -> None:
    from ..adapters.adapter import MIVAAdapter
    from ..adapters.library import resolve_adapter
    from ..bases.loading import known_backbone
    from ..convert.motion_lora import export_motion_lora
    from ..storage.files import check_new

    check_new(options.out, (".safetensors",))
    path = resolve_adapter(options.adapter)
    adapter = MIVAAdapter.load(path, known_backbone(path))
    export_motion_lora(adapter, options.out, options.layout)
    print(f"Wrote {options.out}.")


def _convert(options: argparse.Namespace) -> None:
    from ..convert.official import convert_official
    from ..storage.files import check_new

    check_new(options.out, (".safetensors",))
    adapter, rest = convert_official(options.official, options.checkpoint, options.alpha)
    is_wan = adapter.backbone.family == "wan"
    info = adapter.info(
        motion=options.motion or options.out.stem.replace("_", " "),
        frames=17 if is_wan else 16,
        size=(832, 480) if is_wan else (512, 320),
        fps=8,
        subject=options.subject,
        training={"converted from": options.official.name} | ({"gate temperature": "assumed"} if is_wan else {}),
    )
    adapter.save(options.out, info, new=True)
    print(f"Wrote {options.out}: {adapter.num_parameters():,} parameters.")
    if is_wan:
        print(
            "It will move otherwise than in the authors' code, which runs its attention on the raw residual: here it "
            "stands beside self-attention, inside the gate, with a gate temperature of 0.2, which no Wan file tells."
        )
    if rest:
        print(f"{len(rest)} tensors, of a prompt for the background alone, have no place in an adapter: {rest[0]} …")


def _list(options: argparse.Namespace) -> None:
    from ..adapters.info import read_info
    from ..adapters.library import find_adapters
    from ..bases.loading import BASES, name_base

    print("Bases:")
    for name in BASES:
        print(f"  {name}")
    print("Adapters:")
    for name, path in find_adapters(options.adapters).items():
        try:
            info = read_info(path)
            masked = ", with a mask of its subject" if info.config.mask else ""
            size = f"{info.frames} frames, {info.size[0]}×{info.size[1]}"
            print(f"  {name:<16} {printable(info.motion)} ({size}, {name_base(info) or 'an unknown base'}{masked})")
        except MIVAError as error:
            print(f"  {name:<16} cannot be used: {error}")


def _info(options: argparse.Namespace) -> None:
    from ..adapters.adapter import MIVAAdapter
    from ..adapters.info import count_parameters, read_info
    from ..bases.loading import find_backbone, name_base
    from ..storage.files import require_file
    from ..storage.weights import open_weights

    path = require_file(options.file, "file")
    try:
        info = read_info(path)
        counts = count_parameters({name: tensor.shape for name, tensor in open_weights(path, "adapter").items()})
        backbone = find_backbone(info)
        if backbone:
            MIVAAdapter.load(path, backbone)
    except MIVAError as error:
        _tell_of_another_file(path, error)
        return
    print(f"{path} is a MIVA adapter.")
    rows = {
        "motion": info.motion,
        "subject": info.subject or "none",
        "base": f"{name_base(info) or 'unknown'} ({info.family}, fingerprint {info.fingerprint})",
        "clips": f"{info.frames} frames of {info.size[0]}×{info.size[1]} at {info.fps:g} a second",
        "trained": ", ".join(f"{key} {value}" for key, value in info.training.items()) or "not recorded",
        "licence": info.licence or "not recorded",
        "author": info.author or "not recorded",
        "structure": ", ".join(f"{key} {value}" for key, value in vars(info.config).items()),
        "parameters": f"{sum(counts.values()):,}: " + ", ".join(f"{part} {count:,}" for part, count in counts.items()),
    }
    for name, value in rows.items():
        print(f"  {name:<10} {printable(value, _LONGEST_ROW)}")


def _tell_of_another_file(path: Path, error: MIVAError) -> None:
    from ..storage.files import looks_like
    from ..storage.weights import open_weights, what_weights

    kind = looks_like(path)
    if "MIVA adapter" in kind:
        print(f"{path} is {kind}.\n{error}")
        return
    try:
        tensors = open_weights(path, "model file")
    except MIVAError as broken:
        print(broken if kind == "a PyTorch checkpoint" else f"{path} is {kind}.")
        return
    if not tensors:
        print(f"{path} is a model file without tensors.")
        return
    print(f"{path} is {what_weights(tensors)}:")
    dtypes = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()})
    count = sum(tensor.numel() for tensor in tensors.values())
    print(f"{count:,} parameters in {len(tensors):,} tensors of {' and '.join(dtypes)}.")
