"""The training of the built-in MiraMo: a loop that can be stopped at any time and taken up again."""

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.training_utils import EMAModel

from miva_core.errors import MIVAError
from tools.half_precision import save_halves
from tools.miramo.losses import Losses, Step
from tools.miramo.model import WordedMiraMo, fill
from tools.motion_world.batch import WorldBatch
from tools.tiny_base.training import Pace

SAVE_EVERY = 60.0
"""Seconds between files."""
REPORT_EVERY = 50
HEAD_RATE = 0.6
"""Rate of the maps from captions to motions, as a share of that of the rest."""
BETAS = (0.9, 0.98)
Share = Callable[[int, float], float]
"""From the number of steps and of seconds that have been worked to the share of the work that is done."""


def time_share(minutes: float) -> Share:
    """Work for so long, breaks not counted."""
    return lambda steps, seconds: seconds / (60 * minutes)


def step_share(count: int) -> Share:
    """Work for so many steps."""
    return lambda steps, seconds: steps / count


def make_optimisers(model: WordedMiraMo, lr: float) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices, AdamW for the rest, at a lower rate for what motions are made of."""
    matrices, head, rest = [], [], []
    for name, parameter in model.learnt.items():
        of_head = ".layers." in name or name.startswith("words.")
        hidden = parameter.ndim == 2 and "embed" not in name and "table" not in name
        (head if of_head else matrices if hidden else rest).append(parameter)
    return [
        torch.optim.Muon(matrices, lr=lr, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=lr, betas=BETAS, weight_decay=0.01),
        torch.optim.AdamW(head, lr=HEAD_RATE * lr, betas=BETAS, weight_decay=0.0),
    ]


@dataclass
class Training:
    """A model in training.

    Args:
        model: what learns.
        step: gives the losses of each step.
        pace: how fast it learns.
        share: how much of the work is done.
    """

    model: WordedMiraMo
    step: Step
    pace: Pace
    share: Share

    def __post_init__(self) -> None:
        self.parameters = list(self.model.learnt.values())
        self.optimisers = make_optimisers(self.model, self.pace.lr)
        self.rates = [optimiser.param_groups[0]["lr"] for optimiser in self.optimisers]
        self.ema = EMAModel(self.parameters, decay=self.pace.ema)
        self.steps, self.seconds = 0, 0.0

    def run(self, out: Path, most: int | None = None) -> None:
        """Train until all is done, or `most` further steps are; files are in the folder `out`, see `save`."""
        report, saved = _Report(), self.seconds
        last = None if most is None else self.steps + most
        while (progress := self.share(self.steps, self.seconds)) < 1 and self.steps != last:
            start = time.perf_counter()
            batch, losses = self._advance(progress)
            self.seconds += time.perf_counter() - start
            report.add(batch, losses)
            if self.steps in (1, 10) or self.steps % REPORT_EVERY == 0:
                report.print(self.steps, self.seconds)
            if self.seconds - saved > SAVE_EVERY:
                self.save(out)
                saved = self.seconds
        self.save(out)

    def _advance(self, progress: float) -> tuple[WorldBatch, Losses]:
        batch, losses = self.step.losses(self.model, self.steps)
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        losses.total().backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for optimiser, rate in zip(self.optimisers, self.rates, strict=True):
            optimiser.param_groups[0]["lr"] = rate * self.pace.rate(self.steps, progress)
            optimiser.step()
        self.ema.step(self.parameters)
        self.steps += 1
        return batch, losses

    def save(self, out: Path) -> None:
        """Write the averaged weights to ema.pt, and what going on needs to checkpoint.pt."""
        save_halves(out / "ema.pt", self.ema.shadow_params, self.model.learnt)
        path = out / "checkpoint.pt"
        torch.save(self._state(), path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)

    def resume(self, path: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            MIVAError: there is none, or it is another model's.
        """
        if not path.is_file():
            raise MIVAError(f"There is no {path} to go on from: leave --resume out.")
        state = torch.load(path, weights_only=True, map_location="cpu")
        fill(self.model, state.get("learnt", {}), path)
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.ema.load_state_dict(state["ema"])
        self.steps, self.seconds = state["steps"], state["seconds"]

    def _state(self) -> dict[str, Any]:
        return {
            "learnt": dict(self.model.learnt),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "ema": self.ema.state_dict(),
            "steps": self.steps,
            "seconds": self.seconds,
        }


class _Report:
    """Prints how losses fall, by what clips are about."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = defaultdict(list)
        self._clips = 0

    def add(self, batch: WorldBatch, losses: Losses) -> None:
        self._clips += len(batch.kinds)
        for kind, guided, flow in zip(batch.kinds, (batch.guide_kind > 0).tolist(), losses.flow.tolist(), strict=True):
            suffix = "+guide" if guided and kind in ("depth", "region", "carried") else ""
            self._values[kind + suffix].append(flow)
        for name in ("flow", "latent", "mask", "nearness"):
            self._values[f"all {name}"] += getattr(losses, name).tolist()
        self._values["sparse"].append(losses.sparse.item())

    def print(self, steps: int, seconds: float) -> None:
        means = " ".join(f"{name} {sum(v) / len(v):.3f}" for name, v in sorted(self._values.items()))
        self._values.clear()
        print(f"step {steps} clips {self._clips} {seconds:.0f} s | {means}", flush=True)
