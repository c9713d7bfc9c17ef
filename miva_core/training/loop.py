"""Learn one motion from a few clips: the loop, and how it stops and goes on."""

import copy
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..adapters.adapter import MIVAAdapter
from ..adapters.config import MIVAConfig
from ..adapters.degree import DegreeRange
from ..bases.base import Base
from ..bases.recipe import Recipe
from ..errors import MIVAError, MIVAWarning
from .accelerating import check_precision, mixed_precision, own_accelerator
from .degrees import RATE
from .draws import Draws, draw_timesteps
from .held_parameters import OF_DEGREES, hold_caption, hold_degree
from .latent_clips import Batch, LatentClip, draw_batch
from .mask_loss import ground_truth_share
from .options import TrainOptions
from .settings import check_adapters, check_resume, training_settings
from .state import TrainingState, read_state, restore, save_state
from .step import TrainStep

if TYPE_CHECKING:
    from accelerate import Accelerator

Clips = Sequence[Sequence[LatentClip]]
"""Training clips, each in its versions: phases, windows, colourings."""
CHECKPOINT = "checkpoint.safetensors"
WARM_UP = 30
MAX_NORM = 1.0
_CAPTION = "caption"
"""The name of a parameter that is learnt in the units of the base's words, which are far from zero."""
_CAPTION_RATE, _CAPTION_RATE_UNDER_A_MASK = 10.0, 80.0
"""For words as the built-in MiraMo has them, whose numbers are 0.8 in the root mean square. What no word says of a
masked place is far from them all; a camera's layers are not, and would share a motion among them at such a rate."""


@dataclass(frozen=True)
class TrainingProgress:
    """State of a training after one step.

    Attributes:
        step: steps done, from 1.
        steps: steps in all.
        losses: of all steps so far.
        adapter: as it is now; it is not injected meanwhile.
    """

    step: int
    steps: int
    losses: Sequence[float]
    adapter: MIVAAdapter


@dataclass(frozen=True)
class Outcome:
    """What `train` returns.

    Attributes:
        adapter: as it is now.
        partner: the other adapter as it is now, where one was trained, too.
        losses: of all steps so far.
        finished: whether all steps were done.
        is_main_process: whether this is the first of several processes, the one that writes files.
    """

    adapter: MIVAAdapter
    partner: MIVAAdapter | None
    losses: Sequence[float]
    finished: bool
    is_main_process: bool


def train(
    base: Base,
    clips: Clips,
    recipe: Recipe,
    *,
    folder: Path,
    options: TrainOptions | None = None,
    settings: Mapping[str, Any] | None = None,
    partner: MIVAAdapter | None = None,
    degree: DegreeRange | None = None,
    callback: Callable[[TrainingProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Outcome:
    """Train an adapter, the base frozen (section 3.3, for masked ones 3.4).

    Processes that Accelerate or torchrun launched share each step: it then holds the clips of all. One process with
    twice the batch would compute the same gradients.

    Args:
        base: on the device to train on.
        clips: see `TrainingSet.encode`.
        recipe: see `recipes.recipe`.
        folder: where the checkpoint is kept; it must exist.
        options: how it runs; None for the defaults.
        settings: what else must be the same when a training goes on, such as a digest of the clips.
        partner: for masked adapters, another one for the second subject of the clips; it is copied and trained
            together with the first, so that neither holds what the other is to move.
        degree: what the degrees of the clips mean, for an adapter that learns one, see `degrees.degree_range`. None
            for one without, and for one that begins with an adapter that has a degree: it learns at the usual degree
            of that, and what hears a degree stays as it was.
        callback: called after every step, by the first process alone.
        stop: asked after every step whether to save and return.

    Raises:
        MIVAError: what is to learn does not go together, see `check_adapters`; the checkpoint does not fit, cannot be
            read or written, or the loss is no number any more; the last good checkpoint is kept.
    """
    options = options or TrainOptions()
    check_adapters(recipe, options.start, partner, degree)
    check_precision(options.precision, base.device)
    adapter = _new_adapter(base, recipe, options)
    adapter.degree = degree or adapter.degree
    step = TrainStep(base, adapter, recipe, _copied(partner, base) if partner else None)
    for learner in step.learners.values():
        if learner is not adapter or not degree:
            hold_degree(learner)
        hold_caption(learner, base, clips)
    with own_accelerator(base.device, mixed_precision(options.precision, base.dtype)) as accelerator:
        if adapter.degree and not degree and accelerator.is_main_process:
            warnings.warn(MIVAWarning(_at_usual(adapter.degree)), stacklevel=2)
        identity = training_settings(base, recipe, options, partner) | dict(settings or {})
        training = _Training(
            step, _Source(clips, base, recipe, options.seed), folder / CHECKPOINT, identity, accelerator
        )
        return training.run(options, callback, stop or (lambda: False))


@dataclass(frozen=True)
class _Source:
    """What the batches of a training are drawn from."""

    clips: Clips
    base: Base
    recipe: Recipe
    seed: int

    def draw(self, step: int, accelerator: "Accelerator") -> tuple[Batch, Draws]:
        """This process's part of a step, on its device."""
        index, processes = accelerator.process_index, accelerator.num_processes
        batch, draws = draw_step(self.clips, self.base, self.recipe, step, self.seed, processes)
        mine, device = slice(index, None, processes), self.base.device
        return (
            Batch(*(tensor[:, mine].to(device) for tensor in batch)),
            Draws(*(drawn[..., mine].to(device) for drawn in draws)),
        )


class _Training:
    def __init__(
        self, step: TrainStep, source: _Source, path: Path, settings: Mapping[str, Any], accelerator: "Accelerator"
    ) -> None:
        recipe = source.recipe
        self._step, self._source, self._recipe = step, source, recipe
        self._accelerator, self._path, self._settings = accelerator, path, settings
        self._parameters = [p for learner in step.learners.values() for p in learner.parameters()]
        self._optimiser = torch.optim.AdamW(
            _by_rate(step.learners), lr=recipe.lr, betas=(0.9, recipe.beta2), weight_decay=recipe.weight_decay
        )
        self._wrapped, self._stepping = accelerator.prepare(self._step, self._optimiser)
        self._losses: list[float] = []

    def run(
        self, options: TrainOptions, callback: Callable[[TrainingProgress], None] | None, stop: Callable[[], bool]
    ) -> Outcome:
        if options.resume:
            self._go_on()
        while (done := len(self._losses)) < self._recipe.steps:
            self._losses.append(self._one_step(done))
            done += 1
            stopped = self._any(stop())
            if stopped or done % options.save_every == 0 or done == self._recipe.steps:
                self._save()
            if callback and self._accelerator.is_main_process:
                callback(TrainingProgress(done, self._recipe.steps, self._losses, self._step.adapter))
            if stopped and done < self._recipe.steps:
                return self._outcome(finished=False)
        return self._outcome(finished=True)

    def _outcome(self, finished: bool) -> Outcome:
        step = self._step
        return Outcome(step.adapter, step.partner, self._losses, finished, self._accelerator.is_main_process)

    def _one_step(self, step: int) -> float:
        for group in self._optimiser.param_groups:
            group["lr"] = group["share"] * learning_rate(self._recipe, step)
        batch, draws = self._source.draw(step, self._accelerator)
        self._stepping.zero_grad(set_to_none=True)
        with self._step.injected():
            loss = self._wrapped(batch, draws)
            value = self._accelerator.reduce(loss.detach().float(), "mean").item()
            # Looked at before backward, where NaN can end the whole process.
            self._check_finite(math.isfinite(value), step)
            self._accelerator.backward(loss)
        norm = self._accelerator.clip_grad_norm_(self._parameters, MAX_NORM)
        # In float16 gradients overflow now and then; the scale of the loss is lowered and the step left out.
        scaler = self._accelerator.scaler
        self._check_finite(scaler.get_scale() >= 1 if scaler else math.isfinite(norm), step)
        self._stepping.step()
        return value

    def _check_finite(self, finite: bool, step: int) -> None:
        if not finite:
            saved = self._path.exists()
            way_out = "go on from the last checkpoint with" if saved else "begin anew with"
            raise MIVAError(
                f"The loss is no number any more at step {step + 1}: {way_out} a lower learning rate than "
                f"{self._recipe.lr:g}."
            )

    def _any(self, stop: bool) -> bool:
        """Whether any process is to stop; all of them must agree on the step."""
        if self._accelerator.num_processes == 1:
            return stop
        return bool(self._accelerator.reduce(torch.tensor(float(stop), device=self._source.base.device)).item())

    def _save(self) -> None:
        if self._accelerator.is_main_process:
            scaler = self._accelerator.scaler
            state = TrainingState(
                len(self._losses),
                torch.tensor(self._losses, dtype=torch.float64),
                self._settings,
                scaler.state_dict() if scaler else {},
            )
            save_state(self._path, state, self._step.learners, self._optimiser)

    def _go_on(self) -> None:
        state = read_state(self._path)
        check_resume(state, self._settings)
        before, now = state.settings["lr"], self._recipe.lr
        if before != now and self._accelerator.is_main_process:
            warnings.warn(
                MIVAWarning(f"This training had a learning rate of {before:g}, and goes on with {now:g}."),
                stacklevel=2,
            )
        restore(self._path, self._step.learners, self._optimiser)
        if self._accelerator.scaler and state.scale:
            self._accelerator.scaler.load_state_dict(dict(state.scale))
        self._losses = state.losses.tolist()


def _by_rate(learners: Mapping[str, MIVAAdapter]) -> list[dict[str, Any]]:
    """Parameters as an optimiser takes them, with their share in the learning rate."""
    by_share: dict[float, list[torch.nn.Parameter]] = {1.0: []}
    for learner in learners.values():
        for name, parameter in learner.named_parameters():
            by_share.setdefault(_share(name, learner.config), []).append(parameter)
    return [{"params": parameters, "share": share} for share, parameters in by_share.items()]


def _share(name: str, config: MIVAConfig) -> float:
    """What part of the learning rate a parameter of this name has."""
    if name.endswith(OF_DEGREES):
        return RATE
    if name != _CAPTION:
        return 1.0
    return _CAPTION_RATE_UNDER_A_MASK if config.guide == "mask" else _CAPTION_RATE


def _new_adapter(base: Base, recipe: Recipe, options: TrainOptions) -> MIVAAdapter:
    """The adapter that is to be trained, in float32 on the device of the base."""
    if options.start:
        return _copied(options.start, base)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        return MIVAAdapter(base.backbone, recipe.config).to(base.device)


def _copied(adapter: MIVAAdapter, base: Base) -> MIVAAdapter:
    """A copy to be trained."""
    return copy.deepcopy(adapter).to(base.device, torch.float32).requires_grad_(True)


def _at_usual(degree: DegreeRange) -> str:
    return (
        f"The motion to begin with has a degree, and learns at its usual one, {degree.usual:.2g} "
        f"({degree.speed():.2g} pixels a frame): what a degree changes stays as it was."
    )


def learning_rate(recipe: Recipe, step: int) -> float:
    """The rate of a step: up over `WARM_UP` steps and down by half a cosine, or constant.

    Args:
        recipe: that names the highest rate.
        step: from 0.
    """
    if not recipe.cosine:
        return recipe.lr
    return recipe.lr * min(1.0, (step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * step / recipe.steps))


def draw_step(clips: Clips, base: Base, recipe: Recipe, step: int, seed: int, processes: int) -> tuple[Batch, Draws]:
    """Draw the clips of one step, their noise and their timesteps, for all processes together.

    Args:
        clips: see `TrainingSet.encode`.
        base: that is trained on.
        recipe: see `recipes.recipe`.
        step: from 0.
        seed: of the training; the seed of the step follows from both.
        processes: number of processes, each of which takes a batch of the recipe's size.
    """
    generator = torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)
    full = (base.frames - 1) // base.stride + 1
    whole = step % recipe.short == 0
    frames, count = (full, recipe.batch) if whole else (full // 2, 2 * recipe.batch)
    batch = draw_batch(clips, count * processes, full, frames, generator)
    draws = draw_timesteps(
        count * processes,
        base.noise_process,
        generator,
        power=recipe.power,
        rolled_out=recipe.rolled_out,
        truth=ground_truth_share(step, recipe.steps),
        levels=base.levels,
    )
    return batch, draws
