"""The arguments of `animate`."""

import argparse
import re
from pathlib import Path

from ...bases.registry import DEFAULT
from ...checks import LARGEST
from ...errors import MIVAError
from ..file_checks import check_parent
from .shared import add_base, add_edges, add_folders, number, ranged, share, whole

EASINGS = ("linear", "ease-in", "ease-out", "ease-in-out")
FORMATS = ("mp4", "gif", "webp")
SMALLEST_SIDE, LARGEST_SIDE = 16, 4096


def add_animate(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    command.add_argument("source", type=Path, metavar="PICTURE|FOLDER", help="a picture, or a folder of pictures")
    command.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="CLIP|FOLDER",
        help="the clip: .mp4, .gif, .webp; of a folder, a folder",
    )
    command.add_argument(
        "--miva",
        action="append",
        default=[],
        metavar="NAME[:WEIGHT][@START-END]",
        help="a motion by name or file; repeat it to run several at once (weights that sum to 1 are the most stable); "
        "@0.4-1 lets it act from 40 %% of the steps on",
    )
    command.add_argument(
        "--say",
        action="append",
        default=[],
        metavar="WORDS[=SPEED]",
        help='a motion by words that the base knows, as in --say "dolly in=0.6"; repeat it for several; list shows the '
        "words of a base (default: the speed 1)",
    )
    command.add_argument(
        "--mask",
        action="append",
        default=[],
        metavar="NAME=PICTURE|FOLDER",
        help="where the subject of a masked motion is, or what words move, white on black; repeat it for each of them; "
        "for a folder of pictures one mask for all, or a folder with masks of the same names",
    )
    command.add_argument(
        "--depth",
        type=Path,
        metavar="PICTURE|FOLDER",
        help="how near the parts of the picture are, white where it is near, as depth models make it: for words of "
        "depth, as truck and dolly; for a folder of pictures a folder with maps of the same names",
    )
    command.add_argument(
        "--words",
        action="append",
        default=[],
        metavar="NAME=WORDS",
        help='which motion, of a file that holds several: --words "camera_words=zoom in"; info shows their words',
    )
    command.add_argument(
        "--degree",
        action="append",
        default=[],
        metavar="NAME=DEGREE",
        help="how fast a motion is, from 0, its slowest, to 1, its fastest, as in pan_left=0.6; for words, and for "
        "motions that were trained with a degree, of which info shows how fast that is (default: as it was trained)",
    )
    _add_strength(command)
    _add_look(command)
    _add_time(command)
    _add_run(command)
    add_base(command, None, f"the one that the files of its motions were made for; for words alone {DEFAULT}")
    add_folders(command)


def _add_strength(command: argparse.ArgumentParser) -> None:
    strength = command.add_argument_group(
        "how strongly motions act in the course of the run and of the clip",
        "A CURVE is SHARE:STRENGTH,... with shares from 0 to 1, or strengths alone, which lie evenly. Behind it stand, "
        "after slashes, how it goes from point to point (hold, linear or cosine), and parts of the motion that it is "
        "for alone (cross-frame, prompt, temporal). Weight and curves of a motion are multiplied.",
    )
    strength.add_argument(
        "--strength",
        action="append",
        default=[],
        metavar="NAME=CURVE",
        help="over the steps: pan_left=0:1.5,0.5:1 for more motion in the first half of them (default: it holds)",
    )
    strength.add_argument(
        "--frames-strength",
        action="append",
        default=[],
        metavar="NAME=CURVE",
        help="over the frames: pan_left=0,1,0/cosine to come and go (default: it goes straight)",
    )
    strength.add_argument(
        "--edg",
        action="append",
        default=[],
        metavar="NAME",
        help="the schedule of Extrapolating and Decoupling: -0.1875 until half of the noise is gone, then 1.25",
    )


def _add_look(command: argparse.ArgumentParser) -> None:
    look = command.add_argument_group("what the clip shows")
    look.add_argument(
        "--size",
        type=size_of_clip,
        metavar="WIDTHxHEIGHT",
        help="of the clip; 0 for a side that follows the picture's aspect; one number for a square (default: the "
        "picture's own size, up to 1024 along the longer side)",
    )
    look.add_argument("--fit", choices=("crop", "pad"), default="crop", help="how another aspect is met")
    add_edges(look)
    look.add_argument(
        "--render",
        choices=("full", "latents"),
        help="full: the picture itself is moved; latents: what the base paints, at its size (default: full where the "
        "base can, as the built-in ones do)",
    )
    look.add_argument("--sheet", type=Path, metavar="PNG", help="also write a contact sheet of the frames")
    look.add_argument(
        "--save-masks",
        action="store_true",
        help="also write the subjects' masks as they move, each beside the clip as CLIP_NAME_mask",
    )
    look.add_argument("--format", choices=FORMATS, help="of the clips of a folder (default: mp4)")


def _add_time(command: argparse.ArgumentParser) -> None:
    time = command.add_argument_group("how long and how fast")
    add_time_of_film(time)
    time.add_argument("--frames", type=whole(2, LARGEST), help="length of the clip in frames, in place of --duration")
    time.add_argument(
        "--segments",
        type=whole(1, LARGEST),
        default=1,
        metavar="N",
        help="clips that the base makes, each going on from the last frame of the one before, for a longer one of "
        "N x (frames - 1) + 1 frames; not at full size, where --duration says it (default: 1)",
    )


def add_time_of_film(time: argparse._ArgumentGroup) -> None:
    """The options that say how long and how fast a clip at full size is."""
    time.add_argument("--fps", type=ranged(1, 120), help="frames a second (default: 24)")
    time.add_argument("--duration", type=number(0, 60), metavar="SECONDS", help="default: 2, with --loop 4")
    time.add_argument(
        "--easing",
        choices=EASINGS,
        default="linear",
        help="how the speed changes on the way; with --loop all but linear slow down at both turns (default: linear)",
    )
    time.add_argument("--loop", action="store_true", help="there and back, to be repeated without a seam")


def _add_run(command: argparse.ArgumentParser) -> None:
    run = command.add_argument_group("how the base runs")
    run.add_argument(
        "--seed",
        type=whole(0, 2**64 - 1),
        default=0,
        help="another seed, another clip; of a folder, all pictures have the same (default: 0)",
    )
    run.add_argument("--steps", type=whole(1, 1000), help="denoising steps (default: the base's own)")
    run.add_argument("--no-dct", action="store_true", help="start from plain noise in the low band, too")
    run.add_argument(
        "--dct-strength",
        type=share,
        metavar="A",
        help="share of the picture in the low band, 0 to 1 (the tiny base hardly heeds it)",
    )
    run.add_argument("--no-shared-noise", action="store_true", help="draw every frame's noise by itself")
    run.add_argument(
        "--adain",
        action=argparse.BooleanOptionalAction,
        help="match the frames' statistics to the picture's at the end (default: as the base wants it)",
    )


def size_of_clip(text: str) -> tuple[int | None, int | None]:
    """The type of an option that is a size: "1280x720" gives (720, 1280), "1280x0" (None, 1280), "512" (512, 512)."""
    match = re.fullmatch(r"\s*(\d{1,6})\s*(?:[xX×]\s*(\d{1,6})\s*)?", text)
    if not match or not (int(match[1]) or int(match[2] or 0)):
        raise argparse.ArgumentTypeError(
            f"the size {text!r} is not understood: write width x height such as 1280x720, 1280x0 for the picture's "
            "aspect, or one number for a square"
        )
    width, height = int(match[1]), int(match[2] or match[1])
    if not all(side == 0 or SMALLEST_SIDE <= side <= LARGEST_SIDE for side in (width, height)):
        raise argparse.ArgumentTypeError(
            f"the size {text!r} is out of range: each side must be from {SMALLEST_SIDE} to {LARGEST_SIDE} pixels"
        )
    return height or None, width or None


def check_animate(options: argparse.Namespace) -> None:
    """Refuse options that do not go together, before anything is loaded."""
    if options.frames and options.duration:
        raise MIVAError("--frames and --duration both say how long the clip is: leave one of them out.")
    if not options.source.is_dir():
        if options.format:
            raise MIVAError("--format is for a folder of pictures: of one, the ending of --out says it.")
        return
    options.format = options.format or "mp4"
    if options.sheet:
        raise MIVAError("--sheet shows one clip: leave it out for a folder of pictures.")
    if options.depth and not options.depth.is_dir():
        raise MIVAError(
            f"{options.depth} is no folder, but each picture of a folder has a depth map of its own: name a folder "
            "with maps of the same names."
        )
    if options.out.exists() and not options.out.is_dir():
        raise MIVAError(f"{options.out} is a file, but the clips of a folder need a folder: name one in --out.")
    check_parent(options.out)
