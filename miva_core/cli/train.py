"""The command `train`: makes an adapter."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

from ..adapters.adapter import MIVAAdapter
from ..adapters.info import AdapterInfo, read_info
from ..bases.known import find_specs
from ..bases.library import resolve_adapter
from ..bases.recipe import Recipe
from ..bases.registry import find_base, no_guide
from ..errors import MIVAError
from ..motion_fields.motions import motion_field, spoken
from ..training.accelerating import check_precision
from ..training.files import check_start, how_to_go_on, is_first_process, training_folder
from ..training.loop import Outcome, TrainingProgress
from ..training.options import Author, Precision, TrainOptions
from ..training.recipes import expected_of, recipe
from ..training.run import Partner, train_and_save
from ..training.training_set import TrainingSet
from .chosen import device, load_chosen_base
from .interruption import interruption
from .motion_clips import check_depth_maps
from .training_material import material, subject_phrases

STOPPED = 130
"""The exit code of a training that was stopped, by which scripts see that it is not done."""


def run_train(options: argparse.Namespace) -> None:
    options.motion = options.motion or options.out.stem.replace("_", " ")
    # Everything that can be wrong is found before the model is loaded.
    check_start(options.out, options.resume, options.beside_out)
    _check_film(options)
    if options.guide and not find_base(options.base).guided:
        raise MIVAError(no_guide(options.base))
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


def _adapter_paths(options: argparse.Namespace) -> dict[str, Path]:
    """The files of the adapters that are named, by the name of their option, checked to fit the others."""
    paths = {name: resolve_adapter(getattr(options, name)) for name in ("start", "beside") if getattr(options, name)}
    for path in paths.values():
        _check_alike(path, read_info(path), options)
    return paths


def _check_alike(path: Path, info: AdapterInfo, options: argparse.Namespace) -> None:
    """Check that an adapter was trained as it is to learn now."""
    bases, guide = [spec.name for spec in find_specs(info)], info.config.guide
    if bases and options.base not in bases:
        raise MIVAError(f"{path} was trained on another base: add --base {bases[0]}, or take another adapter.")
    if info.config.mask != options.masked:
        kind = "has no mask stream: leave --masked out" if options.masked else "has a mask stream: add --masked"
        raise MIVAError(f"{path} {kind}, or take another adapter.")
    if guide != options.guide:
        alike = f"the guide {guide}: add --guide {guide}" if guide else "no guide: leave --guide out"
        raise MIVAError(f"{path} was trained with {alike}, or take another adapter.")


def _check_film(options: argparse.Namespace) -> None:
    """Check what is to be filmed over stills."""
    if options.film:
        motion = motion_field(options.film)
        check_depth_maps(options)
        if options.masked and motion.kind in ("camera", "depth"):
            raise MIVAError(f"{spoken(motion.name)} moves the whole picture and has no subject: leave --masked out.")
        if options.guide == "mask" and motion.kind in ("camera", "depth"):
            raise MIVAError(f"{spoken(motion.name)} moves the whole picture and has no mask: leave --guide mask out.")
        if options.guide == "nearness" and motion.kind != "depth":
            raise MIVAError(f"{spoken(motion.name)} does not go into depth: leave --guide nearness out.")
    elif (options.speed, options.easing, options.depth) != (None, None, None):
        raise MIVAError("Only what is filmed has a speed, an easing and depth maps: add --film, or leave them out.")


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
