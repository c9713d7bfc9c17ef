"""Clips in, an adapter file out: a training with all that is seen of it."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ..adapters.adapter import MIVAAdapter
from ..adapters.degree import DegreeRange
from ..adapters.info import AdapterInfo
from ..animation.clip import Clip, Progress
from ..bases.base import Base
from ..bases.known import TRAINED_ON
from ..bases.recipe import Recipe
from ..bases.registry import no_guide
from ..checks import printable
from ..errors import MIVAError
from ..storage.files import FileTakenError, check_new
from .degrees import degree_range
from .files import ENCODED, check_files, held, is_first_process, training_folder
from .kept_encodings import KeptEncodings, remove_encodings
from .log import CURVE, TrainingLog, draw_curve
from .loop import CHECKPOINT, Clips, Outcome, TrainingProgress, train
from .options import TrainOptions
from .report import REPORT, write_report
from .settings import check_resume, training_settings
from .state import read_state
from .training_set import TrainingSet
from .validation import Validation, try_on

VALIDATED = 5
"""How many times in a training its validation pictures are animated, unless the options say otherwise."""


@dataclass(frozen=True)
class Partner:
    """Another masked motion that is trained together with one, on the second subject of its clips.

    Attributes:
        adapter: as it was.
        info: of its file.
        out: the file that it is written to, which must not exist.
    """

    adapter: MIVAAdapter
    info: AdapterInfo
    out: Path


def train_and_save(
    base: Base,
    training_set: TrainingSet,
    recipe: Recipe,
    out: Path,
    *,
    options: TrainOptions | None = None,
    validations: Sequence[Validation] = (),
    partner: Partner | None = None,
    callback: Callable[[TrainingProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Outcome:
    """Train an adapter and write its file, beside it a folder with checkpoint, validation clips, curve and report.

    Killed at any moment, it goes on with `TrainOptions.resume` from what it had saved, up to the report.

    Args:
        base: on the device to train on.
        training_set: what is learnt.
        recipe: how, see `recipes.recipe`.
        out: the adapter file, which must not exist; it is written when all steps are done.
        options: how it runs; None for the defaults.
        validations: pictures that the adapter is tried on, best some that it does not learn from; where clips have
            words, with these, see `in_words`.
        partner: another masked motion that is trained, too.
        callback: called after every step, by the first of several processes alone.
        stop: asked after every step whether to save and return, and while clips are encoded or made.
        on_progress: called as (done, total) with numbers of clips, which are encoded before the first step.

    Raises:
        MIVAError: as from `check_start`, `AdapterInfo` and `train`, or some clips have words and others none, or what
            is begun with hears none.
        KeyboardInterrupt: it was stopped while clips were encoded, or made after the last step.

    Example:
        >>> training_set = TrainingSet("rain", clips, flip=True)
        >>> train_and_save(base, training_set, recipe("tiny", "quick"), Path("rain.safetensors"))
    """
    options, other = options or TrainOptions(), partner.out if partner else None
    if training_set.words:
        _check_words(training_set, options.start)
        recipe = recipe.with_words()
    _check_guide(base, training_set, options.start)
    if training_set.guide:
        recipe = recipe.with_guide(training_set.guide)
    if training_set.degree:
        recipe, options = recipe.with_degree(), _with_degree(options)
    with held(out, other):
        check_files(out, options.resume, other)
        info, folder = _info(base, training_set, recipe, options), training_folder(out)
        folder.mkdir(exist_ok=True)
        learner = partner.adapter if partner else None
        settings = {"set of clips": training_set.digest(), "flip": training_set.flip}
        if training_set.degree:
            settings["degree by"] = training_set.degree
        done = 0
        if options.resume:
            state = read_state(folder / CHECKPOINT)
            check_resume(state, training_settings(base, recipe, options, learner) | settings)
            done = state.step
        clips: Clips = ()
        degree: DegreeRange | None = None
        if done < recipe.steps:
            # Those of an earlier training which was asked for fewer steps.
            for path in filter(None, (out, other)):
                check_new(path, (".safetensors",))
        if done < recipe.steps or training_set.degree:
            kept = KeptEncodings(folder / ENCODED, base, writes=is_first_process())
            clips = training_set.encode(base, recipe.colours, options.seed, stop, on_progress, kept)
        if training_set.degree:
            degree = degree_range(clips, training_set.degree, (base.frames - 1) // base.stride + 1)
        every = options.validate_every or max(1, recipe.steps // VALIDATED)
        with closing(TrainingLog(folder, base, validations, every, done, stop)) as log:

            def watch(progress: TrainingProgress) -> None:
                log.add(progress)
                if callback:
                    callback(progress)

            outcome = train(
                base,
                clips,
                recipe,
                folder=folder,
                options=options,
                settings=settings,
                partner=learner,
                degree=degree,
                callback=watch,
                stop=stop,
            )
        if outcome.finished and outcome.is_main_process:
            remove_encodings(folder / ENCODED)
            record, adapter = {**info.training, "final loss": _last(outcome.losses)}, outcome.adapter
            info = replace(info, training=record, config=adapter.config, degree=adapter.degree)
            placed = {out: _place(adapter, info, out)}
            if partner and outcome.partner:
                after = _info_after(partner, base, training_set, recipe)
                placed[partner.out] = _place(outcome.partner, after, partner.out)
            # A training that was killed between its last step and its report has nothing left to log.
            made = _tried_on(base, adapter, validations, stop) if log.clips is None else log.clips
            draw_curve(outcome.losses, folder / CURVE)
            write_report(folder / REPORT, info, training_set, validations, made, folder / CURVE)
            _raise_if_displaced(placed)
        return outcome


def _check_words(training_set: TrainingSet, start: MIVAAdapter | None) -> None:
    """Check that all clips have words, and that these can be learnt by what is begun with."""
    without = [printable(clip.name) for clip in training_set.clips if not clip.words]
    if without:
        raise MIVAError(
            f"Some clips have words, but these have none: {', '.join(without)}. Give them some, or none any."
        )
    if start and not start.config.words:
        raise MIVAError("The adapter to begin with hears no words: begin with one that does, or with an empty one.")


def _check_guide(base: Base, training_set: TrainingSet, start: MIVAAdapter | None) -> None:
    """Check that a base can be guided where it is to be, and is by what the adapter to begin with was."""
    if training_set.guide and not base.guided:
        raise MIVAError(no_guide(base.name))
    if training_set.guide and training_set.masked:
        raise MIVAError("A motion is guided by a mask, or generates one itself: leave out the one or the other.")
    if start and start.config.guide != training_set.guide:
        theirs = f"the guide {start.config.guide}" if start.config.guide else "no guide"
        raise MIVAError(
            f"The adapter to begin with was trained with {theirs}: train with it alike, or begin with another one."
        )


def _with_degree(options: TrainOptions) -> TrainOptions:
    """The same, with a degree for the adapter to begin with."""
    start = options.start
    return options if start is None or start.config.degree else replace(options, start=start.with_degree())


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
    base: Base, adapter: MIVAAdapter, validations: Sequence[Validation], stop: Callable[[], bool] | None
) -> list[Clip]:
    """What an adapter makes of the validation pictures, unless it is to stop, which ends in KeyboardInterrupt."""

    def break_off(progress: Progress) -> None:
        if stop and stop():
            raise KeyboardInterrupt

    return try_on(base, adapter, validations, callback=break_off)


def _info(base: Base, training_set: TrainingSet, recipe: Recipe, options: TrainOptions) -> AdapterInfo:
    """What the file will say of itself, but for what its degrees mean."""
    return AdapterInfo(
        base.backbone.family,
        base.backbone.fingerprint,
        replace(options.start.config if options.start else recipe.config, degree=False),
        motion=training_set.motion,
        frames=base.frames,
        size=(base.size[1], base.size[0]),
        fps=base.fps,
        subject=training_set.subject,
        training={
            "steps": recipe.steps,
            "clips": len(training_set.clips),
            "lr": recipe.lr,
            "batch": recipe.batch * int(os.environ.get("WORLD_SIZE", 1)),
            "seed": options.seed,
            "preset": recipe.preset,
            "precision": options.precision,
            "flip": training_set.flip,
            **_release(base),
            **training_set.source,
        },
        licence=options.author.licence,
        author=options.author.name,
        words=training_set.words,
    )


def _info_after(partner: Partner, base: Base, training_set: TrainingSet, recipe: Recipe) -> AdapterInfo:
    """What the file of a partner will say of itself."""
    record = {**partner.info.training, **_release(base), "then beside": training_set.motion, "for steps": recipe.steps}
    return replace(partner.info, training=record)


def _release(base: Base) -> dict[str, str]:
    """What a record says of a base that shares its structure with others."""
    return {TRAINED_ON: base.release} if base.release else {}


def _last(losses: Sequence[float]) -> float:
    """The mean of the last twentieth."""
    last = losses[-max(1, len(losses) // 20) :]
    return round(sum(last) / len(last), 5)
