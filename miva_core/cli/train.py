"""The command `train`: makes an adapter."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

from ..adapters.adapter import MIVAAdapter
from ..adapters.info import read_info
from ..bases.library import resolve_adapter
from ..bases.recipe import Recipe
from ..bases.registry import find_base
from ..errors import MIVAError
from ..training.accelerating import check_precision
from ..training.files import check_start, how_to_go_on, is_first_process, training_folder
from ..training.loop import Outcome, TrainingProgress
from ..training.options import Author, Precision, TrainOptions
from ..training.recipes import expected_of, recipe
from ..training.run import Partner, train_and_save
from ..training.training_set import TrainingSet
from .camera_clips import add_shooting
from .interruption import interruption
from .options import add_base, add_models, check_distinct, device, load_chosen_base, number, whole
from .training_material import VALIDATIONS, material, subject_phrases

STOPPED = 130
"""The exit code of a training that was stopped, by which scripts see that it is not done."""


def add_train(command: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    command.add_argument("clips", type=Path, help="folder of videos or of folders of frames; with --camera, of stills")
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="the adapter, ending in .safetensors")
    command.add_argument("--motion", help="name of the motion (default: the name of the file)")
    add_shooting(command, "--camera", required=False)
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
        help=f"pictures to try the adapter on, which it does not learn from (the first {VALIDATIONS}; a masked one "
        "needs a mask beside each, for still.jpg still_mask.png; default: first frames of the clips)",
    )
    command.add_argument("--subject", default="", help="what moves, in a word or two; nothing for a camera move")
    command.add_argument("--author", default="", help="who trained it, recorded in the file")
    command.add_argument("--licence", default="", help="of the adapter, recorded in the file")
    add_base(command)
    command.set_defaults(run=_train)


def _train(options: argparse.Namespace) -> None:
    options.motion = options.motion or options.out.stem.replace("_", " ")
    # Everything that can be wrong is found before the model is loaded.
    _check_options(options)
    check_start(options.out, options.resume, options.beside_out)
    chosen = _changed(recipe(options.base, options.preset, options.masked), options)
    paths = _adapter_paths(options)
    phrases = subject_phrases(options, paths.get("beside"))
    where = device(options.device)
    precision: Precision = options.precision or _precision(options.base, where)
    check_precision(precision, where)
    base = load_chosen_base(options, where, _dtype(precision, where))
    training_set, validations = material(base, options, phrases)
    if is_first_process():
        _print_start(training_set, chosen, training_folder(options.out))
    adapters = {name: MIVAAdapter.load(path, base.backbone) for name, path in paths.items()}
    partner = None
    if options.beside:
        partner = Partner(adapters["beside"], read_info(paths["beside"]), options.beside_out)
    try:
        with interruption() as stop, _bar(chosen.steps) as bar:

            def show(progress: TrainingProgress) -> None:
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
        if is_first_process():
            print(f"\nStopped. {how_to_go_on(options.out)}")
        sys.exit(STOPPED)
    if outcome.is_main_process:
        _print_end(outcome, chosen, options)


def _check_options(options: argparse.Namespace) -> None:
    """Check that the options go together."""
    if options.camera and options.masked:
        raise MIVAError("A camera motion has no subject: leave --masked or --camera out.")
    if options.beside and not options.masked:
        raise MIVAError("Only masked motions are learnt beside another: add --masked, or leave --beside out.")
    if (options.beside is None) != (options.beside_out is None):
        raise MIVAError("A motion that learns beside another needs both: --beside names it, --beside-out its new file.")
    check_distinct([options.beside_out], [options.out])


def _adapter_paths(options: argparse.Namespace) -> dict[str, Path]:
    """The files of the adapters that are named, by the name of their option, checked to fit the others."""
    paths = {name: resolve_adapter(getattr(options, name)) for name in ("start", "beside") if getattr(options, name)}
    for path in paths.values():
        if read_info(path).config.mask != options.masked:
            kind = "has no mask stream: leave --masked out" if options.masked else "has a mask stream: add --masked"
            raise MIVAError(f"{path} {kind}, or take another adapter.")
    if not options.camera and (options.speed, options.easing) != (None, None):
        raise MIVAError("Only camera motions have a speed and an easing: add --camera, or leave them out.")
    return paths


def _bar(steps: int) -> "tqdm[None]":
    # Of several processes, the first one talks.
    return tqdm(total=steps, unit="step", delay=0.5, disable=not is_first_process())


def _print_start(training_set: TrainingSet, chosen: Recipe, folder: Path) -> None:
    counts = ((len(training_set.clips), "clip"), (chosen.steps, "step"))
    clips, steps = (f"{count} {one}{'s' * (count > 1)}" for count, one in counts)
    source = f"{clips}{', mirrored ones too' * training_set.flip}, {steps}"
    print(f"Learning {training_set.motion!r} from {source}; checkpoints, samples and report: {folder}.")


def _print_end(outcome: Outcome, chosen: Recipe, options: argparse.Namespace) -> None:
    """Say what was written; end with `STOPPED` if steps are missing."""
    if not outcome.finished:
        done = f"{len(outcome.losses)} of {chosen.steps}"
        print(f"Stopped and saved at step {done}: go on by the same command and --resume.")
        sys.exit(STOPPED)
    print(f"Wrote {options.out}, and {training_folder(options.out) / 'report.html'}.")
    if expected := expected_of(chosen, options.base):
        print(f"It learnt in {expected}.")


def _changed(chosen: Recipe, options: argparse.Namespace) -> Recipe:
    """A recipe with the numbers that options name in place of its own."""
    changes = {name: getattr(options, name) for name in ("steps", "lr", "batch") if getattr(options, name) is not None}
    return replace(chosen, **changes)


def _dtype(precision: Precision, where: torch.device) -> torch.dtype:
    """What the base is loaded in: half of the memory on a card, where no more than that is computed with."""
    halves = {"bf16": torch.bfloat16, "fp16": torch.float16}
    return torch.float32 if where.type == "cpu" else halves.get(precision, torch.float32)


def _precision(base: str, where: torch.device) -> Precision:
    """What a base is trained in on a device, unless an option says otherwise."""
    if where.type != "cuda":
        return "fp32"
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return "bf16"
    return "fp16" if find_base(base).fits_float16 else "fp32"
