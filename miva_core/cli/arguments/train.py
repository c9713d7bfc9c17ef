"""The arguments of `train`."""

import argparse
from pathlib import Path

from ...adapters.degree import MEASURES
from ...bases.registry import DEFAULT, DEFAULT_TO_TRAIN
from ...errors import MIVAError
from ..file_checks import check_distinct
from .motion_clips import add_shooting
from .shared import add_base, add_models, number, whole

VALIDATIONS = 4
"""Pictures that an adapter is tried on, at most."""


def add_train(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    command.add_argument("clips", type=Path, help="folder of videos or of folders of frames; with --film, of stills")
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="the adapter, ending in .safetensors")
    command.add_argument("--motion", help="name of the motion (default: the name of the file)")
    add_shooting(command, "--film", required=False)
    command.add_argument(
        "--degree",
        nargs="?",
        const="flow",
        choices=MEASURES,
        help="also learn how much motion is wanted, from 0 (slowest) to 1: clips are met at as many "
        "speeds as their frames allow, and stills are filmed at a quarter to five quarters of --speed; measured by "
        "flow (default), or by ms-ssim as MiraMo does",
    )
    command.add_argument(
        "--masked",
        action="store_true",
        help="generate the subject's mask, too; for clip.mp4 it is in clip_masks/ or clip_mask.mp4, or is its alpha "
        "channel; or --detector and --segmenter look for --subject in the first frame, at the size of the base, and "
        "follow it",
    )
    command.add_argument(
        "--guide",
        choices=("mask", "nearness"),
        default="",
        help="on a base that takes a guide: show it where the subject is (masks as for --masked), or how near each "
        "place is (of stills that are filmed in depth), while it learns and wherever the motion acts",
    )
    add_models(command)
    command.add_argument(
        "--words",
        action="store_true",
        help="learn several motions, each by its words: those of clip.mp4 are in clip.txt, or else the name of the "
        "sub-folder that it is in",
    )
    command.add_argument(
        "--from",
        dest="start",
        metavar="ADAPTER",
        help="begin with this adapter, by name or file, not with an empty one",
    )
    command.add_argument(
        "--beside",
        metavar="ADAPTER",
        help="with --masked: another masked motion, of the clips' second subject, whose masks are in "
        "clip_beside_masks/; both learn, so that neither holds what the other is to move",
    )
    command.add_argument("--beside-out", type=Path, metavar="FILE", help="with --beside: what that one becomes")
    command.add_argument(
        "--flip",
        action=argparse.BooleanOptionalAction,
        help="meet clips mirrored, too (default: not with --film and for what is called left or right)",
    )
    command.add_argument("--preset", default="normal", help="quick, normal (default) or paper")
    command.add_argument("--steps", type=whole(1, 1_000_000), help="instead of the preset's")
    command.add_argument("--lr", type=number(0, 1), help="learning rate, instead of the preset's")
    command.add_argument("--batch", type=whole(1, 1024), help="clips in a step, instead of the preset's")
    command.add_argument("--seed", type=whole(0, 2**31 - 1), default=0)
    command.add_argument(
        "--precision", choices=("fp32", "bf16", "fp16"), help="default: bf16 or fp16 on a graphics card, fp32 elsewhere"
    )
    command.add_argument("--resume", action="store_true", help="go on from the last checkpoint; repeat all else")
    command.add_argument("--save-every", type=whole(1, 1_000_000), default=100, metavar="STEPS", help="default: 100")
    command.add_argument(
        "--sample-every", type=whole(1, 1_000_000), metavar="STEPS", help="default: a fifth of all steps"
    )
    command.add_argument(
        "--stills",
        type=Path,
        metavar="FOLDER",
        help=f"pictures to try the adapter on, which it does not learn from (the first {VALIDATIONS}; a masked one "
        "needs a mask beside each, for still.jpg still_mask.png; default: first frames of the clips)",
    )
    command.add_argument("--subject", default="", help="what moves, in a word or two; nothing for a camera move")
    command.add_argument("--author", default="", help="who trained it, recorded in the file")
    command.add_argument("--licence", default="", help="of the adapter, recorded in the file")
    add_base(
        command,
        DEFAULT_TO_TRAIN,
        f"{DEFAULT_TO_TRAIN}, which learns a subject's motion without a mask; camera moves learn faster on {DEFAULT}",
    )


def check_train(options: argparse.Namespace) -> None:
    """Check that the options go together."""
    if options.film and options.beside:
        raise MIVAError("--film films one subject: leave --beside out, or train on clips of two.")
    if options.film and (options.detector or options.segmenter):
        raise MIVAError(
            "Masks of filmed stills come from still_mask.png beside them: leave --detector and --segmenter out."
        )
    if options.film and options.words:
        raise MIVAError(
            "--film films one motion: film each by motion-clips into a sub-folder of its words, and train on those."
        )
    if options.guide and options.masked:
        raise MIVAError("A motion is guided by a mask, or generates one itself: leave --guide or --masked out.")
    if options.guide == "nearness" and not options.film:
        raise MIVAError("Only stills that are filmed have depth maps: add --film, or leave --guide nearness out.")
    if options.beside and not options.masked:
        raise MIVAError("Only masked motions are learnt beside another: add --masked, or leave --beside out.")
    if (options.beside is None) != (options.beside_out is None):
        raise MIVAError("A motion that learns beside another needs both: --beside names it, --beside-out its new file.")
    check_distinct([options.beside_out], [options.out])
