"""Clips in, an adapter file out: a training with all that is seen of it."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..adapters.adapter import MIVAAdapter
from ..adapters.config import MIVAConfig
from ..adapters.info import AdapterInfo
from ..animation.clip import Clip, Progress
from ..bases.base import Base
from ..bases.recipe import Recipe
from ..errors import MIVAError
from ..storage.files import FileTakenError, check_new
from .files import ENCODED, check_files, held, is_first_process, training_folder
from .kept_encodings import KeptEncodings, remove_encodings
from .latent_clips import LatentClip
from .log import CURVE, TrainingLog, draw_curve
from .loop import CHECKPOINT, Outcome, Precision, TrainingProgress, check_resume, train, training_settings
from .report import REPORT, write_report
from .state import read_state
from .training_set import Lesson
from .validation import Sample, try_on


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

    Killed at any moment, it goes on with `resume` from what it had saved, up to the report.

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
    partner = beside.out if beside else None
    with held(out, partner):
        check_files(out, resume, partner)
        config = start.config if start else recipe.config
        info = _info(base, lesson, recipe, config, seed, precision, author)
        folder = training_folder(out)
        folder.mkdir(exist_ok=True)
        settings = {"set of clips": lesson.digest(), "flip": lesson.flip}
        done = 0
        if resume:
            state, companion = read_state(folder / CHECKPOINT), beside.adapter if beside else None
            check_resume(state, training_settings(base, recipe, seed, precision, start, companion) | settings)
            done = state.step
        clips: Sequence[Sequence[LatentClip]] = ()
        if done < recipe.steps:
            # Those of an earlier training which was asked for fewer steps.
            for path in filter(None, (out, partner)):
                check_new(path, (".safetensors",))
            kept = KeptEncodings(folder / ENCODED, base, writes=is_first_process())
            clips = lesson.encode(base, recipe.colours, seed, stop, tell, kept)
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
                settings=settings,
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
            remove_encodings(folder / ENCODED)
            info = replace(info, training=info.training | {"final loss": _last(outcome.losses)})
            placed = {out: _place(outcome.adapter, info, out)}
            if beside:
                record = beside.info.training | {"then beside": lesson.motion, "for steps": recipe.steps}
                placed[beside.out] = _place(outcome.beside, replace(beside.info, training=record), beside.out)
            # A training that was killed between its last step and its report has nothing left to log.
            made = log.clips if log else _tried_on(base, outcome.adapter, samples, stop)
            draw_curve(outcome.losses, folder / CURVE)
            write_report(folder / REPORT, info, lesson, samples, made, folder / CURVE)
            _raise_if_displaced(placed)
        return outcome


def _place(adapter: MIVAAdapter, info: AdapterInfo, path: Path) -> Path:
    """Write the file of an adapter, unless a training that was killed afterwards has done so; where it is.

    A file that somebody else has put there meanwhile is left alone: the adapter gets the next free number.
    """
    placed, number = path, 1
    while not (placed.exists() and _holds(placed, adapter)):
        with suppress(FileTakenError):
            adapter.save(placed, info, dtype=torch.float16, new=True)
            break
        number += 1
        placed = path.with_stem(f"{path.stem}_{number}")
    return placed


def _holds(path: Path, adapter: MIVAAdapter) -> bool:
    """Whether a file is that of an adapter, as its training wrote it."""
    try:
        found = MIVAAdapter.load(path, adapter.backbone)
    except MIVAError:
        return False
    return found.config == adapter.config and all(
        torch.equal(value, trained.detach().to("cpu", torch.float16).float())
        for value, trained in zip(found.parameters(), adapter.parameters(), strict=True)
    )


def _raise_if_displaced(placed: Mapping[Path, Path]) -> None:
    """Say which files of others were in the way of results, and where those are.

    Args:
        placed: where files are, by where they should be.

    Raises:
        MIVAError: a file is somewhere else.
    """
    displaced = [
        f"{path} has appeared while it was trained, and is left alone: what was learnt is in {other}."
        for path, other in placed.items()
        if other != path
    ]
    if displaced:
        raise MIVAError(" ".join(displaced))


def _tried_on(
    base: Base, adapter: MIVAAdapter, samples: Sequence[Sample], stop: Callable[[], bool] | None
) -> list[Clip]:
    """What an adapter makes of the samples, unless it is to stop, which ends in KeyboardInterrupt."""

    def break_off(progress: Progress) -> None:
        if stop and stop():
            raise KeyboardInterrupt

    return try_on(base, adapter, samples, callback=break_off)


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
