"""The training of a small video model: what a step learns from, and the loop around it.

Accelerate joins the processes and averages their gradients, `diffusers.training_utils.EMAModel` averages the weights.
The rate follows the share of the work that is done, which may be one of time, so it is a function of that.
"""

import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from miva_core.bases.model_predictor import ModelPredictor
from miva_core.diffusion.noise_process import NoiseProcess
from miva_core.training.denoiser import Denoiser, NoisedClips
from miva_core.training.draws import Draws, draw_timesteps
from miva_core.training.loss import rolled_out_losses
from tools.half_precision import save_halves
from tools.tiny_base.clips import FRAMES, ClipPool
from tools.tiny_base.model import CaptionedModel

WARM_UP = 50
LEAST_RATE = 0.02
"""Share of the rate that is left in the end."""
SAVE_EVERY = 120
"""Seconds between files."""
RENEWED = 2
"""Clips of the pool that are drawn anew in a step."""


@dataclass(frozen=True)
class Objective:
    """Which clips a step meets, and how.

    Attributes:
        batch: clips of 16 frames in a step.
        short: share of steps on twice as many clips of 8 frames, which cost half; the last frames are met often enough.
        high_noise: power of the draws of timesteps; below 1 prefers noisy ones.
        rolled_out: share of clips noised by way of the model's own step.
    """

    batch: int = 6
    short: float = 0.7
    high_noise: float = 0.6
    rolled_out: float = 0.2

    def frames_at(self, step: int) -> int:
        """Length of the clips of a step, from 0."""
        return FRAMES // 2 if step % 10 < 10 * self.short else FRAMES

    def clips_of(self, frames: int) -> int:
        """Number of clips of a length that make up a batch."""
        return self.batch * FRAMES // frames


@dataclass(frozen=True)
class Pace:
    """How fast a model learns.

    Attributes:
        lr: the highest rate.
        decay: share of the work over which the rate falls, at its end.
        ema: how much of the average of the weights is kept in a step, at most.
    """

    lr: float = 1.5e-3
    decay: float = 0.4
    ema: float = 0.995

    def rate(self, step: int, progress: float) -> float:
        """The share of `lr` at a step, from 0: up over `WARM_UP` steps, and down in a line in the end.

        Args:
            step: from 0.
            progress: share of the work that is done, in [0, 1].
        """
        fall = min(1.0, (1 - progress) / self.decay)
        return min(1.0, (step + 1) / WARM_UP) * (LEAST_RATE + (1 - LEAST_RATE) * fall)


class ClipLosses(nn.Module, ABC):
    """The losses of a step, as a module that owns what learns, so that Accelerate's wrapper sees all of it.

    Args:
        model: what learns.
    """

    def __init__(self, model: CaptionedModel) -> None:
        super().__init__()
        self.model = model

    @abstractmethod
    def forward(self, step: int, progress: float) -> tuple[Tensor, Tensor]:
        """Draw a batch.

        Args:
            step: from 0.
            progress: share of the work that is done, in [0, 1].

        Returns:
            Its timesteps (B,) and losses (B,).
        """


class RolledOutLosses(ClipLosses):
    """Losses of a pool's clips, some of them brought to their timestep by the model itself.

    Args:
        model: what learns.
        process: how clips are noised.
        pool: the clips.
        objective: which of them a step meets, and how.
        generator: of the draws.
    """

    def __init__(
        self,
        model: CaptionedModel,
        process: NoiseProcess,
        pool: ClipPool,
        objective: Objective,
        generator: torch.Generator,
    ) -> None:
        super().__init__(model)
        self._denoiser = Denoiser(ModelPredictor(model.unet), process)
        self._pool, self._objective, self._generator = pool, objective, generator

    def forward(self, step: int, progress: float) -> tuple[Tensor, Tensor]:
        """Draw a batch; its timesteps (B,) and losses (B,)."""
        objective, frames = self._objective, self._objective.frames_at(step)
        count = objective.clips_of(frames)
        self._pool.renew(RENEWED)
        drawn = self._pool.draw(count).first(frames)
        device = drawn.latents.device
        text = self.model.caption(hide_words(drawn.words.to(device)), drawn.speeds.to(device))
        draws = draw_timesteps(
            count,
            self._denoiser.process,
            self._generator,
            power=objective.high_noise,
            rolled_out=objective.rolled_out,
            truth=0.0,
        )
        draws = Draws(*(part.to(device) for part in draws))
        clips = NoisedClips(drawn.latents, torch.randn_like(drawn.latents), text, drawn.weights, drawn.flow)
        return draws.t, rolled_out_losses(self._denoiser, clips, draws)


def hide_words(words: Tensor) -> Tensor:
    """Empty the whole caption of an eighth of the clips and single words of the others."""
    whole = torch.rand(len(words), 1, device=words.device) < 1 / 8
    single = torch.rand(words.shape, device=words.device) < 0.05
    return words.masked_fill(whole | single, 0)


def make_optimisers(model: CaptionedModel, lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices, AdamW for convolutions, norms, biases, the embeddings and the time network."""
    matrices, rest = [], []
    for name, parameter in model.learnt.items():
        hidden = parameter.ndim == 2 and "time_emb" not in name and not name.startswith("words.")
        (matrices if hidden else rest).append(parameter)
    return [
        torch.optim.Muon(matrices, lr=lr, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.98), weight_decay=0.01),
    ]


def time_share(seconds: float, accelerator: Accelerator) -> Callable[[int], float]:
    """Measure work by time from now on.

    Args:
        seconds: how long the work takes.
        accelerator: of the processes that share it.

    Returns:
        A function of the step: the share of the time that has passed, the same number in every process, so that all
        stop at the same step.
    """
    start = time.time()

    def share(step: int) -> float:
        passed = torch.tensor((time.time() - start) / seconds, device=accelerator.device)
        return accelerator.gather(passed).max().item()

    return share


def train_video_model(
    losses: ClipLosses, done: Callable[[int], float], pace: Pace, out: Path, accelerator: Accelerator
) -> None:
    """Train until all is done; the averaged weights are in `out` / ema.pt, written every two minutes.

    Args:
        losses: gives the losses of each step.
        done: takes the step and gives the share of the work that is done, the same in all processes.
        pace: how fast it learns.
        out: folder of the file.
        accelerator: of the processes that share the work; what learns is on its device already.
    """
    model, progress = losses.model, lru_cache(maxsize=2)(done)
    parameters, optimisers = list(model.learnt.values()), make_optimisers(model, pace.lr)
    rates = [LambdaLR(optimiser, lambda step: pace.rate(step, progress(step))) for optimiser in optimisers]
    ema = EMAModel(parameters, decay=pace.ema)
    save = partial(save_halves, out / "ema.pt", ema.shadow_params, model.learnt)
    wrapped, *stepping = accelerator.prepare(losses, *optimisers)
    report, saved, step = _Report(accelerator), time.time(), 0
    while progress(step) < 1:
        t, values = wrapped(step, progress(step))
        for optimiser in stepping:
            optimiser.zero_grad(set_to_none=True)
        accelerator.backward(values.mean())
        accelerator.clip_grad_norm_(parameters, 1.0)
        report.add(step, t, values, rates[0].get_last_lr()[0])
        for optimiser, rate in zip(stepping, rates, strict=True):
            optimiser.step()
            rate.step()
        ema.step(parameters)
        step += 1
        if accelerator.is_main_process and time.time() - saved > SAVE_EVERY:
            save()
            saved = time.time()
    if accelerator.is_main_process:
        save()
    report.close(step)


class _Report:
    """Prints how losses fall, by timesteps, in the first of several processes."""

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator, self._start, self._clips = accelerator, time.time(), 0
        self._losses: dict[int, list[float]] = defaultdict(list)

    def add(self, step: int, t: Tensor, losses: Tensor, rate: float) -> None:
        self._clips += len(t) * self._accelerator.num_processes
        for bucket, value in zip((t // 200).tolist(), losses.tolist(), strict=True):
            self._losses[bucket].append(value)
        if step in (0, 19) or (step + 1) % 100 == 0:
            means = " ".join(f"{k * 200}:{sum(v) / len(v):.4f}" for k, v in sorted(self._losses.items()))
            self._losses.clear()
            self._print(f"step {step + 1} {self._clips} clips {self._passed()} lr {rate:.1e} loss {means}")

    def close(self, steps: int) -> None:
        self._print(f"done: {steps} steps, {self._clips} clips, {self._passed()}")

    def _passed(self) -> str:
        return f"{time.time() - self._start:.0f} s"

    def _print(self, text: str) -> None:
        self._accelerator.print(text, flush=True)
