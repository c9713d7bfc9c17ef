"""The commands that make an adapter: train it, and film stills for it."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MIVAError
from ..storage.files import whole_folder
from .options import (
    add_base,
    add_models,
    check_distinct,
    check_new_folder,
    chosen_confidence,
    device,
    load_chosen_base,
    load_chosen_detector,
    load_chosen_segmenter,
    number,
    whole,
)

if TYPE_CHECKING:
    import torch

    from ..bases.base import Base
    from ..bases.recipe import Recipe
    from ..clips.camera_clips import Shooting
    from ..clips.files import FindMasks
    from ..training.training_set import TrainingSet
    from ..training.validation import Validation

_SAMPLES = 4
STOPPED = 130
"""The exit code of a training that was stopped, by which scripts see that it is not done."""


def add_train(command: argparse.ArgumentParser) -> None:
    command.add_argument("clips", type=Path, help="folder of videos or of folders of frames; with --camera, of stills")
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="the adapter, ending in .safetensors")
    command.add_argument("--motion", help="name of the motion (default: the name of the file)")
    _add_shooting(command, "--camera", required=False)
    command.add_argument(
        "--masked",
        action="store_true",
        help="generate the subject's mask, too; for clip.mp4 it is in clip_masks/ or clip_mask.mp4, or is its alpha "
        "channel; or --detector and --segmenter look for --subject in the first frame, at the size of the base, and "
        "follow it",
    )
    add_models(command)
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
        help="meet clips mirrored, too (default: not for camera motions and what is called left or right)",
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
        help=f"pictures to try the adapter on, which it does not learn from (the first {_SAMPLES}; a masked one needs "
        "a mask beside each, for still.jpg still_mask.png; default: first frames of the clips)",
    )
    command.add_argument("--subject", default="", help="what moves, in a word or two; nothing for a camera move")
    command.add_argument("--author", default="", help="who trained it, recorded in the file")
    command.add_argument("--licence", default="", help="of the adapter, recorded in the file")
    add_base(command)
    command.set_defaults(run=_train)


def add_camera_clips(command: argparse.ArgumentParser) -> None:
    command.add_argument("stills", type=Path, help="folder of pictures")
    _add_shooting(command, "--motion", required=True)
    command.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="made if it is not there")
    command.add_argument("--size", default="512x320", metavar="WIDTHxHEIGHT", help="default: 512x320")
    command.add_argument("--frames", type=whole(2, 1000), default=16, help="of each clip (default: 16)")
    command.add_argument("--fps", type=whole(1, 60), default=8, help="frames per second (default: 8)")
    command.add_argument("--seed", type=whole(0, 2**31 - 1), default=0)
    command.set_defaults(run=_camera_clips)


def _add_shooting(command: argparse.ArgumentParser, name: str, required: bool) -> None:
    command.add_argument(
        name,
        metavar="MOTION",
        dest="camera",
        required=required,
        help="pan-left, pan-right, pan-up, pan-down, zoom-in, zoom-out, roll-cw or roll-ccw",
    )
    command.add_argument(
        "--speed",
        type=number(0, 10),
        help="1 (default) is a 64th of the frame's width, 2.4 %% of size or 1.5 degrees a frame",
    )
    command.add_argument("--easing", help="linear (default), ease-in, ease-out or ease-in-out")


def _shooting(options: argparse.Namespace, size: tuple[int, int], frames: int) -> "Shooting":
    from ..clips.camera_clips import Shooting

    chosen = {name: getattr(options, name) for name in ("speed", "easing") if getattr(options, name) is not None}
    return Shooting(options.camera.replace("_", "-"), size, frames, **chosen)


def _camera_clips(options: argparse.Namespace) -> None:
    from einops import rearrange
    from tqdm import tqdm

    from ..clips.camera_clips import CLIPS_PER_STILL, film_stills, write_flow
    from ..clips.stills import read_stills
    from ..media.pictures import parse_size
    from ..media.video import write_video

    shooting = _shooting(options, parse_size(options.size), options.frames)
    check_new_folder(options.out)
    stills = read_stills(options.stills, shooting.needed_side)
    clips, count = film_stills(stills, shooting, options.seed), CLIPS_PER_STILL * len(stills)
    with whole_folder(options.out) as folder:
        for name, clip in tqdm(clips, total=count, unit="clip", delay=0.5):
            write_video(rearrange(clip.frames, "f c h w -> f h w c"), folder / f"{name}.mp4", options.fps)
            write_flow(clip, folder / f"{name}_flow.json")
    print(f"Wrote {count} clips of {options.camera} into {options.out}, each with its exact flow.")


def _train(options: argparse.Namespace) -> None:
    # Everything that can be wrong is found before the model is loaded.
    from ..adapters.info import read_info
    from ..bases.library import resolve_adapter
    from ..training.accelerating import check_precision
    from ..training.files import check_start, how_to_go_on, training_folder
    from ..training.options import Author, TrainOptions
    from ..training.recipes import expected_of, recipe
    from ..training.run import Partner, train_and_save

    options.motion = options.motion or options.out.stem.replace("_", " ")
    if options.camera and options.masked:
        raise MIVAError("A camera motion has no subject: leave --masked or --camera out.")
    if options.beside and not options.masked:
        raise MIVAError("Only masked motions are learnt beside another: add --masked, or leave --beside out.")
    if (options.beside is None) != (options.beside_out is None):
        raise MIVAError("A motion that learns beside another needs both: --beside names it, --beside-out its new file.")
    check_distinct([options.beside_out], [options.out])
    check_start(options.out, options.resume, options.beside_out)
    chosen = _changed(recipe(options.base, options.preset, options.masked), options)
    paths = {name: resolve_adapter(getattr(options, name)) for name in ("start", "beside") if getattr(options, name)}
    for path in paths.values():
        if read_info(path).config.mask != options.masked:
            kind = "has no mask stream: leave --masked out" if options.masked else "has a mask stream: add --masked"
            raise MIVAError(f"{path} {kind}, or take another adapter.")
    if not options.camera and (options.speed, options.easing) != (None, None):
        raise MIVAError("Only camera motions have a speed and an easing: add --camera, or leave them out.")
    words = _words(options, paths)
    where = device(options.device)
    precision = options.precision or _precision(options.base, where)
    check_precision(precision, where)
    base = load_chosen_base(options, where, _dtype(precision, where))
    training_set, validations = _material(base, options, words)
    folder = training_folder(options.out)
    # Of several processes, the first one talks.
    first = os.environ.get("RANK", "0") == "0"
    if first:
        clips, steps = (
            f"{n} {one}{'s' * (n > 1)}" for n, one in ((len(training_set.clips), "clip"), (chosen.steps, "step"))
        )
        source = f"{clips}{', mirrored ones too' * training_set.flip}, {steps}"
        print(f"Learning {training_set.motion!r} from {source}; checkpoints, samples and report: {folder}.")

    from tqdm import tqdm

    from ..adapters.adapter import MIVAAdapter
    from .interruption import interruption

    adapters = {name: MIVAAdapter.load(path, base.backbone) for name, path in paths.items()}
    partner = None
    if options.beside:
        partner = Partner(adapters["beside"], read_info(paths["beside"]), options.beside_out)
    try:
        with interruption() as stop, tqdm(total=chosen.steps, unit="step", delay=0.5, disable=not first) as bar:

            def show(progress: object) -> None:
                bar.set_description(refresh=False)
                bar.set_postfix(loss=f"{progress.losses[-1]:.4f}", refresh=False)
                bar.update(progress.step - bar.n)

            outcome = train_and_save(
                base,
                training_set,
                chosen,
                options.out,
                options=TrainOptions(
                    seed=options.seed,
                    precision=precision,
                    start=adapters.get("start"),
                    resume=options.resume,
                    save_every=options.save_every,
                    validate_every=options.sample_every,
                    author=Author(options.author, options.licence),
                ),
                validations=validations,
                partner=partner,
                callback=show,
                stop=stop,
                on_progress=lambda encoded, clips: bar.set_description(f"clip {encoded} of {clips} encoded"),
            )
    except KeyboardInterrupt:
        if first:
            print(f"\nStopped. {how_to_go_on(options.out)}")
        sys.exit(STOPPED)
    if not outcome.is_main_process:
        return
    if outcome.finished:
        print(f"Wrote {options.out}, and {folder / 'report.html'}.")
        if expected := expected_of(chosen, options.base):
            print(f"It learnt in {expected}.")
    else:
        done = f"{len(outcome.losses)} of {chosen.steps}"
        print(f"Stopped and saved at step {done}: go on by the same command and --resume.")
        sys.exit(STOPPED)


def _changed(recipe: "Recipe", options: argparse.Namespace) -> "Recipe":
    from dataclasses import replace

    changes = {name: getattr(options, name) for name in ("steps", "lr", "batch") if getattr(options, name) is not None}
    return replace(recipe, **changes)


def _words(options: argparse.Namespace, paths: dict[str, Path]) -> list[str]:
    """By which masks are found, one for each subject; none if no models are named for it."""
    from ..adapters.info import read_info
    from ..subject_mask.prompt import split_prompt

    named = [name for name in ("detector", "segmenter") if getattr(options, name)]
    if not named:
        for name in ("vocabulary", "confidence"):
            if getattr(options, name) is not None:
                raise MIVAError(f"--{name} is of no use without --detector: add that, or leave it out.")
        return []
    if not options.masked:
        raise MIVAError(f"Only masked motions need masks: add --masked, or leave --{named[0]} out.")
    if len(named) == 1:
        raise MIVAError(f"Masks are found by two models, --detector and --segmenter, but only --{named[0]} is given.")
    told = {"--subject": options.subject}
    if options.beside:
        told[options.beside] = read_info(paths["beside"]).subject
    words = []
    for source, subject in told.items():
        phrases = split_prompt(subject) if subject.strip(" .,;?") else []
        if len(phrases) != 1:
            raise MIVAError(
                f"Masks are found by words, but {source} says {subject!r}: a noun or a short phrase is needed, without "
                "commas or full stops."
            )
        words += phrases
    if len(set(words)) < len(words):
        raise MIVAError(f"Both subjects are called {words[0]!r}: give --subject another word, or clips with masks.")
    return words


def _material(
    base: "Base", options: argparse.Namespace, words: Sequence[str]
) -> "tuple[TrainingSet, Sequence[Validation]]":
    """What is learnt and tried on; the models that find masks are let go of afterwards."""
    if not words:
        training_set = _training_set(base, options, None)
        return training_set, _validations(options, training_set, None)
    from ..subject_mask.subjects import find_subjects

    detector, segmenter = load_chosen_detector(options), load_chosen_segmenter(options)
    confidence = chosen_confidence(options)

    def finder(phrases: Sequence[str]) -> "FindMasks":
        return lambda frames: (
            find_subjects(frames, ". ".join(phrases), detector, segmenter, confidence=confidence).masks
        )

    training_set = _training_set(base, options, finder(words))
    # A still is tried with the first subject alone.
    return training_set, _validations(options, training_set, finder(words[:1]))


def _training_set(base: "Base", options: argparse.Namespace, find: "FindMasks | None") -> "TrainingSet":
    from ..checks import printable
    from ..clips.files import read_clips
    from ..clips.stills import read_stills
    from ..clips.training_clip import ClipSpec
    from ..training.training_set import TrainingSet, film_clips, has_direction

    if options.camera:
        shooting = _shooting(options, base.size, base.frames)
        clips, source = film_clips(read_stills(options.clips, shooting.needed_side), shooting, options.seed)
    else:
        masks = options.masked + (options.beside is not None)
        clips = read_clips(options.clips, ClipSpec(base.size, base.frames, base.fps), masks, find)
        source = {"names": ", ".join(printable(clip.name) for clip in clips)}
    if len(clips) == 1:
        print("One clip alone is learnt by heart rather than as a motion: about ten are better.")
    for name, told in (("from", options.start), ("beside", options.beside)):
        source |= {name: Path(told).stem} if told else {}
    flip = options.flip
    if flip is None:
        filmed = any(options.clips.glob("*_flow.json"))
        flip = not (options.camera or filmed or has_direction(options.motion))
    return TrainingSet(options.motion, clips, options.masked, flip, options.subject, source)


def _validations(
    options: argparse.Namespace, training_set: "TrainingSet", find: "FindMasks | None"
) -> "Sequence[Validation]":
    """Held-out stills, or where there are none first frames of training clips."""
    from ..training.validation import first_frames, read_validations

    if options.stills:
        return read_validations(options.stills, options.masked, _SAMPLES, find)
    return first_frames(training_set, _SAMPLES)


def _dtype(precision: str, where: "torch.device") -> "torch.dtype":
    """What the base is loaded in: half of the memory on a card, where no more than that is computed with."""
    import torch

    halves = {"bf16": torch.bfloat16, "fp16": torch.float16}
    return torch.float32 if where.type == "cpu" else halves.get(precision, torch.float32)


def _precision(base: str, where: "torch.device") -> str:
    import torch

    from ..bases.registry import find_base

    if where.type != "cuda":
        return "fp32"
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return "bf16"
    return "fp16" if find_base(base).fits_float16 else "fp32"
