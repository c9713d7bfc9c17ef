"""The arguments of `mask`."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...errors import MIVAError
from ...subject_mask.pointed_text import parse_box, parse_points
from .shared import add_models, whole


def add_mask(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    command.add_argument("source", type=Path, metavar="PICTURE|CLIP", help="a picture, video or folder of frames")
    command.add_argument(
        "--prompt", help='a short noun phrase for each subject, ended by a full stop or comma: "horse. rider."'
    )
    command.add_argument(
        "--box",
        action="append",
        type=_argument(parse_box),
        metavar="X0,Y0,X1,Y1",
        help="around a subject, in pixels (--box=-5,… where it begins with a minus); repeat it",
    )
    command.add_argument(
        "--points",
        action="append",
        type=_argument(parse_points),
        metavar='"X,Y X,Y,0 …"',
        help="on a subject, in pixels; with ,0 beside it; repeat it for each subject",
    )
    command.add_argument(
        "--rough", action="append", type=Path, metavar="MASK", help="a picture roughly white on a subject; repeat it"
    )
    command.add_argument(
        "--grabcut", action="store_true", help="cut out by colours, from --box or --rough: needs no model"
    )
    command.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="made if it is not there")
    command.add_argument(
        "--key-frame", type=whole(0, 10**9), help="of a clip, in which subjects are found (default: 0)"
    )
    command.add_argument("--device", help="cpu, cuda … (default: the graphics card if there is one)")
    add_models(command)
    _add_search(command)
    _add_edits(command)


def _add_search(command: argparse.ArgumentParser) -> None:
    search = command.add_argument_group("with --prompt")
    search.add_argument("--per-subject", type=whole(1, 100), help="things a phrase may mean (default: 1)")
    search.add_argument("--every-frame", action="store_true", help="find anew in each frame in place of tracking")
    search.add_argument("--allow-missing", action="store_true", help="an empty mask for what is not found")


def _add_edits(command: argparse.ArgumentParser) -> None:
    edits = command.add_argument_group("changes of the masks, in this order")
    edits.add_argument("--no-overlap", action="store_true", help="give each place to the subject it fits best")
    edits.add_argument("--keep-largest", action="store_true", help="drop all pieces but the largest")
    edits.add_argument("--fill-holes", action="store_true")
    edits.add_argument(
        "--grow", type=whole(-1024, 1024), default=0, metavar="PIXELS", help="move the edge outwards; negative: inwards"
    )
    edits.add_argument("--feather", type=whole(0, 1024), metavar="PIXELS", help="soften the edge")
    edits.add_argument("--invert", action="store_true")


def _argument(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Make a parser the type of an option: its errors become argparse's."""

    def read(text: str) -> Any:
        try:
            return parse(text)
        except MIVAError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def check_mask(options: argparse.Namespace) -> None:
    """Refuse options that do not go together, before anything is loaded."""
    pointed = [name for name in ("box", "points", "rough") if getattr(options, name)]
    if bool(options.prompt) == bool(pointed):
        raise MIVAError("Say what to mask either by words (--prompt) or by --box, --points or --rough.")
    if options.grabcut and (options.prompt or "points" in pointed or len(pointed) != 1):
        raise MIVAError("GrabCut starts from --box or from --rough, and from nothing else.")
    _check_unused(options)
    needed = () if options.grabcut else ("detector", "segmenter") if options.prompt else ("segmenter",)
    for name in needed:
        if not getattr(options, name):
            other = "" if options.prompt else ", or add --grabcut, which needs no model"
            raise MIVAError(f"No model is named to do this: add --{name} FILE{other}.")


def _check_unused(options: argparse.Namespace) -> None:
    """Refuse options that would have no effect."""
    unused = {
        "without --prompt": (
            ()
            if options.prompt
            else ("detector", "vocabulary", "confidence", "per_subject", "every_frame", "allow_missing")
        ),
        "with --every-frame": ("key_frame",) if options.every_frame else (),
        "with --grabcut": ("segmenter", "key_frame", "no_overlap") if options.grabcut else (),
    }
    for where, names in unused.items():
        for name in names:
            if getattr(options, name) is not None and getattr(options, name) is not False:
                raise MIVAError(f"--{name.replace('_', '-')} is of no use {where}: leave it out.")
