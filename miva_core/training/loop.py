"""Learn one motion from a few clips: the loop, and how it stops and goes on."""

import copy
import hashlib
import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ..adapters.adapter import MIVAAdapter
from ..bases.base import Base
from ..bases.recipe import Recipe
from ..errors import MIVAError, MIVAWarning
from .accelerating import check_precision, own_accelerator
from .draws import Draws, draw
from .latent_clips import Batch, LatentClip, draw_batch
from .mask_loss import ground_truth_share
from .state import TrainingState, read_state, restore, save_state
from .step import TrainStep

Precision = Literal["fp32", "bf16", "fp16"]
CHECKPOINT = "checkpoint.safetensors"
WARM_UP = 30
MAX_NORM = 1.0
_MAY_CHANGE = ("steps", "lr")
_DIGESTS = ("base", "set of clips", "from", "beside")
"""Settings whose value says nothing to a person."""


@dataclass(frozen=True)
class TrainingProgress:
    """State of a training after one step.

    Attributes:
        step: steps done, from 1.
        steps: steps in all.
        losses: of all steps so far.
        adapter: as it is now; it is not injected while this is told.
    """

    step: int
    steps: int
    losses: Sequence[float]
    adapter: MIVAAdapter


@dataclass(frozen=True)
class Outcome:
    """What `train` returns.

    Attributes:
        adapter: as it is now. beside: likewise, where one was trained beside it.
        losses: of all steps so far.
        finished: whether all steps were done.
        is_main_process: whether this is the first of several processes, the one that writes files.
    """

    adapter: MIVAAdapter
    beside: MIVAAdapter | None
    losses: Sequence[float]
    finished: bool
    is_main_process: bool


def train(
    base: Base,
    clips: Sequence[Sequence[LatentClip]],
    recipe: Recipe,
    *,
    folder: Path,
    seed: int = 0,
    precision: Precision = "fp32",
    settings: Mapping[str, Any] | None = None,
    start: MIVAAdapter | None = None,
    beside: MIVAAdapter | None = None,
    resume: bool = False,
    save_every: int = 100,
    callback: Callable[[TrainingProgress], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Outcome:
    """Train an adapter, the base frozen (section 3.3, for masked ones 3.4).

    Processes that Accelerate or torchrun launched share each step: it then holds the clips of all. One process with
    twice the batch would compute the same gradients.

    Args:
        base: on the device to train on.
        clips: each in its versions, see `Lesson.encode`.
        recipe: see `recipes.recipe`.
        folder: where the checkpoint is kept; it must exist.
        seed: all that is random follows from it and the number of the step.
        precision: what the model computes in; the adapter is kept in float32.
        settings: what else must be the same when a training goes on, such as a digest of the clips.
        start: an adapter to begin with, which is copied; its structure is taken, not the recipe's.
        beside: for masked adapters, another that is at work on the second subject of the clips; it is copied and
            trained together with the first, so that neither holds what the other is to move.
        resume: go on from the checkpoint in `folder`.
        save_every: steps between checkpoints.
        callback: called after every step, by the first process alone.
        stop: asked after every step whether to save and return.

    Raises:
        MIVAError: the checkpoint does not fit, cannot be read or written, or the loss is no number any more; the last
            good checkpoint is kept.
    """
    check_learners(recipe, start, beside)
    check_precision(precision, base.device)
    told = training_settings(base, recipe, seed, precision, start, beside) | dict(settings or {})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fresh = MIVAAdapter(base.backbone, recipe.config)
    step = TrainStep(base, _learner(start, base) or fresh.to(base.device), recipe, _learner(beside, base))
    # A base that is in bfloat16 computes in it by itself.
    plain = precision == "fp32" or (precision == "bf16" and base.model.dtype == torch.bfloat16)
    with own_accelerator(base.device, None if plain else precision) as accelerator:
        training = _Training(step, base, clips, recipe, folder, seed, told, accelerator)
        return training.run(resume, save_every, callback, stop or (lambda: False))


class _Training:
    def __init__(
        self,
        step: TrainStep,
        base: Base,
        clips: Sequence[Sequence[LatentClip]],
        recipe: Recipe,
        folder: Path,
        seed: int,
        settings: Mapping[str, Any],
        accelerator: Any,
    ) -> None:
        self._base, self._clips, self._recipe, self._seed = base, clips, recipe, seed
        self._accelerator, self._path, self._settings = accelerator, folder / CHECKPOINT, settings
        self._step = step
        self._parameters = [p for learner in step.learners.values() for p in learner.parameters()]
        self._optimiser = torch.optim.AdamW(
            self._parameters, lr=recipe.lr, betas=(0.9, recipe.beta2), weight_decay=recipe.weight_decay
        )
        self._wrapped, self._stepping = accelerator.prepare(self._step, self._optimiser)
        self._losses: list[float] = []

    def run(
        self,
        resume: bool,
        save_every: int,
        callback: Callable[[TrainingProgress], None] | None,
        stop: Callable[[], bool],
    ) -> Outcome:
        if resume:
            self._go_on()
        while (done := len(self._losses)) < self._recipe.steps:
            self._losses.append(self._one_step(done))
            done += 1
            stopped = self._any(stop())
            if stopped or done % save_every == 0 or done == self._recipe.steps:
                self._save()
            if callback and self._accelerator.is_main_process:
                callback(TrainingProgress(done, self._recipe.steps, self._losses, self._step.adapter))
            if stopped and done < self._recipe.steps:
                return self._outcome(finished=False)
        return self._outcome(finished=True)

    def _outcome(self, finished: bool) -> Outcome:
        step = self._step
        return Outcome(step.adapter, step.beside, self._losses, finished, self._accelerator.is_main_process)

    def _one_step(self, step: int) -> float:
        recipe, world = self._recipe, self._accelerator.num_processes
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate(recipe, step)
        batch, noise, draws = draw_step(self._clips, self._base, recipe, step, self._seed, world)
        part = _part(batch, noise, draws, self._accelerator.process_index, world, self._base.device)
        self._stepping.zero_grad(set_to_none=True)
        with self._step.at_work():
            loss = self._wrapped(*part)
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
        return bool(self._accelerator.reduce(torch.tensor(float(stop), device=self._base.device)).item())

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


def check_resume(state: TrainingState, now: Mapping[str, Any]) -> None:
    """Check that a training goes on as it was begun; only the learning rate may change, and more steps be asked for.

    Args:
        now: settings, see `training_settings`.

    Raises:
        MIVAError: something else differs.
    """
    for name in sorted(state.settings.keys() | now.keys()):
        before = state.settings.get(name)
        if before != now.get(name) and name not in _MAY_CHANGE:
            raise MIVAError(
                f"This training was begun {_difference(name, before, now.get(name))}: repeat what it was begun with, "
                "or remove its folder to begin anew."
            )
    if now["steps"] < state.step:
        raise MIVAError(f"This training has done {state.step} steps already: ask for at least as many.")


def _difference(name: str, before: Any, now: Any) -> str:
    """How a setting was, in words that complete "begun …"."""
    if before in (None, "") or now in (None, ""):
        return f"with{'out' if before in (None, '') else ''} {name}"
    return f"with another {name}" if name in _DIGESTS else f"with {name} {before}, not {now}"


def check_learners(recipe: Recipe, start: MIVAAdapter | None, beside: MIVAAdapter | None) -> None:
    """Check that what is to learn goes together.

    Raises:
        MIVAError: the adapter to begin with has a mask stream where the recipe has none, or the other way round; or one
            of two that learn beside each other has none.
    """
    masked = recipe.config.mask
    if start and start.config.mask != masked:
        raise MIVAError(f"The adapter to begin with {'lacks' if masked else 'has'} a mask stream: train with it alike.")
    if beside and not (masked and beside.config.mask):
        raise MIVAError("Only masked motions are learnt beside each other: both need a mask stream.")


def training_settings(
    base: Base, recipe: Recipe, seed: int, precision: Precision, start: MIVAAdapter | None, beside: MIVAAdapter | None
) -> dict[str, Any]:
    """What makes a training this one and no other, flat; arguments as in `train`."""
    numbers = asdict(recipe)
    config = numbers.pop("config")
    known = {"from": start, "beside": beside}
    return {
        "base": base.backbone.fingerprint,
        "seed": seed,
        "precision": precision,
        "processes": int(os.environ.get("WORLD_SIZE", 1)),
        **numbers,
        **(asdict(start.config) if start else config),
        **{name: _digest(adapter) for name, adapter in known.items() if adapter},
    }


def _learner(adapter: MIVAAdapter | None, base: Base) -> MIVAAdapter | None:
    """A copy to be trained."""
    return copy.deepcopy(adapter).to(base.device, torch.float32).requires_grad_(True) if adapter else None


def learning_rate(recipe: Recipe, step: int) -> float:
    """The rate of a step, from 0."""
    if not recipe.cosine:
        return recipe.lr
    return recipe.lr * min(1.0, (step + 1) / WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * step / recipe.steps))


def draw_step(
    clips: Sequence[Sequence[LatentClip]], base: Base, recipe: Recipe, step: int, seed: int, processes: int
) -> tuple[Batch, Tensor, Draws]:
    """What all processes together meet in one step: clips, noise and draws."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)
    full = (base.frames - 1) // base.stride + 1
    whole = step % recipe.short == 0
    frames, count = (full, recipe.batch) if whole else (full // 2, 2 * recipe.batch)
    batch = draw_batch(clips, count * processes, full, frames, generator)
    noise = torch.randn(batch.latents.shape, generator=generator)
    truth = ground_truth_share(step, recipe.steps)
    draws = draw(
        count * processes,
        base.scheduler,
        generator,
        power=recipe.power,
        rolled_out=recipe.rolled_out,
        truth=truth,
    )
    return batch, noise, draws


def _part(
    batch: Batch, noise: Tensor, draws: Draws, index: int, processes: int, device: torch.device
) -> tuple[Batch, Tensor, Draws]:
    """One process's part of a step, on its device."""
    mine = slice(index, None, processes)
    return (
        Batch(*(tensor[:, mine].to(device) for tensor in batch)),
        noise[:, mine].to(device),
        Draws(*(drawn[..., mine].to(device) for drawn in draws)),
    )


def _digest(adapter: MIVAAdapter) -> str:
    known = hashlib.sha256()
    for parameter in adapter.parameters():
        known.update(parameter.detach().float().cpu().numpy())
    return known.hexdigest()[:12]
