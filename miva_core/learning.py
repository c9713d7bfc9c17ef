"""Clips in, an adapter file out: a training with all that is seen of it."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from .adapter import MIVAAdapter
from .base import Base
from .config import MIVAConfig
from .errors import MIVAError
from .files import check_new
from .info import AdapterInfo
from .lesson import Lesson
from .recipes import Recipe
from .samples import Sample, try_on
from .training import CHECKPOINT, Outcome, Precision, TrainingProgress, check_resume, train, training_settings
from .training_log import CURVE, TrainingLog, draw_curve
from .training_report import REPORT, write_report
from .training_state import read_state


@dataclass(frozen=True)
class Author:
    """Who trained an adapter, and under which licence it may be used; recorded in its file."""

    name: str = ""
    licence: str = ""


@dataclass(frozen=True)
class Companion:
    """Another masked motion that learns beside one, on the second subject of its clips: as it was, and the file that it
    is written to."""

    adapter: MIVAAdapter
    info: AdapterInfo
    out: Path


def training_folder(out: Path) -> Path:
    """Where the training of an adapter file keeps its checkpoint, samples and report: beside it."""
    return out.with_suffix(".training")


def check_start(out: Path, resume: bool) -> None:
    """Check, before anything is loaded, that a training can begin or go on, and will be able to write its file.

    Raises:
        MIVAError: the file exists, or cannot be written; or there is a checkpoint and it is not to go on, or none and
            it is to.
    """
    check_new(out, (".safetensors",))
    folder = training_folder(out)
    found = (folder / CHECKPOINT).is_file()
    if found and not resume:
        raise MIVAError(
            f"A training of {out.name} was begun in {folder}: go on with --resume, or remove that folder to begin anew."
        )
    if resume and not found:
        raise MIVAError(f"There is no training to go on with in {folder}: leave --resume out.")


def learn(
    base: Base,
    lesson: Lesson,
    recipe: Recipe,
    out: Path,
    *,
    samples: Sequence[Sample] = (),
    sample_every: int,
    save_every: int = 100,
    seed: int = 0,
    precision: Precision = "fp32",
    author: Author = Author(),
    start: MIVAAdapter | None = None,
    beside: Companion | None = None,
    resume: bool = False,
    callback: Callable[[TrainingProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    tell: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Train an adapter and write its file, beside it a folder with checkpoint, samples, loss curve and report.

    Args:
        base: on the device to train on.
        lesson: what is learnt.
        recipe: how, see `recipes.recipe`.
        out: the adapter file, which must not exist; it is written when all steps are done.
        samples: pictures that the adapter is tried on, best some that it does not learn from.
        sample_every: steps between samples. save_every: between checkpoints.
        seed, precision, start, resume, callback, stop: see `train`.
        author: recorded in the file.
        tell: called as (done, total) with numbers of clips, which are encoded before the first step.
        beside: a masked motion that learns, too, see `train`; its file must not exist either.

    Raises:
        MIVAError: as from `check_start`, `AdapterInfo` and `train`.
    """
    check_start(out, resume)
    if beside and not resume:
        check_new(beside.out, (".safetensors",))
    config = start.config if start else recipe.config
    info = _info(base, lesson, recipe, config, seed, precision, author)
    folder = training_folder(out)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise MIVAError(f"The folder {folder} cannot be made: {error.strerror}.") from error
    kept = {"set of clips": lesson.digest(), "flip": lesson.flip}
    done = 0
    if resume:
        state, companion = read_state(folder / CHECKPOINT), beside.adapter if beside else None
        check_resume(state, training_settings(base, recipe, seed, precision, start, companion) | kept)
        done = state.step
    clips = lesson.encode(base, recipe.colours, seed, stop, tell)
    log: TrainingLog | None = None

    def watch(progress: TrainingProgress) -> None:
        nonlocal log
        log = log or TrainingLog(folder, base, samples, sample_every, done, stop)
        log.add(progress.step, progress.steps, progress.losses, progress.adapter)
        if callback:
            callback(progress)

    try:
        outcome = train(
            base,
            clips,
            recipe,
            folder=folder,
            seed=seed,
            precision=precision,
            settings=kept,
            start=start,
            beside=beside.adapter if beside else None,
            resume=resume,
            save_every=save_every,
            callback=watch,
            stop=stop,
        )
    finally:
        if log:
            log.close()
    if outcome.finished and outcome.is_main_process:
        info = replace(info, training=info.training | {"final loss": _last(outcome.losses)})
        if beside:
            told = beside.info.training | {"then beside": lesson.motion, "for steps": recipe.steps}
            outcome.beside.save(beside.out, replace(beside.info, training=told), dtype=torch.float16)
        outcome.adapter.save(out, info, dtype=torch.float16)
        # A training that was killed between its last step and its file has nothing left to log.
        made = log.clips if log else try_on(base, outcome.adapter, samples)
        draw_curve(outcome.losses, folder / CURVE)
        write_report(folder / REPORT, info, lesson, samples, made, folder / CURVE)
    return outcome


def _info(
    base: Base,
    lesson: Lesson,
    recipe: Recipe,
    config: MIVAConfig,
    seed: int,
    precision: Precision,
    author: Author,
) -> AdapterInfo:
    """What the file will say of itself."""
    return AdapterInfo(
        base.backbone.family,
        base.backbone.fingerprint,
        config,
        motion=lesson.motion,
        frames=base.frames,
        size=(base.size[1], base.size[0]),
        fps=base.fps,
        subject=lesson.subject,
        training={
            "steps": recipe.steps,
            "clips": len(lesson.clips),
            "lr": recipe.lr,
            "batch": recipe.batch * int(os.environ.get("WORLD_SIZE", 1)),
            "seed": seed,
            "preset": recipe.preset,
            "precision": precision,
            "flip": lesson.flip,
            **lesson.source,
        },
        licence=author.licence,
        author=author.name,
    )


def _last(losses: Sequence[float]) -> float:
    """The mean of the last twentieth."""
    last = losses[-max(1, len(losses) // 20) :]
    return round(sum(last) / len(last), 5)
