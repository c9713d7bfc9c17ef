"""What a training shows while it runs: its loss, validation clips, and TensorBoard where it is installed."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from ..adapters.adapter import MIVAAdapter
from ..animation.clip import Clip, Progress
from ..bases.base import Base
from ..media.video import write_png
from ..storage.files import replacing
from .loop import TrainingProgress
from .validation import Validation, try_on, validation_sheet

CURVE = "loss.png"


def draw_curve(losses: Sequence[float], path: Path) -> None:
    """Draw the loss over the steps, each as a dot, and its running mean.

    Args:
        losses: of all steps so far.
        path: the PNG file.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(8, 3.5), layout="constrained")
    axes = figure.add_subplot(xlabel="step", ylabel="loss")
    steps = range(1, len(losses) + 1)
    axes.plot(steps, losses, ".", color="0.65", markersize=3, label="each step")
    axes.plot(steps, running_mean(losses), color="C0", label="running mean")
    axes.set_xlim(0, max(2, len(losses)))
    axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)


def running_mean(losses: Sequence[float]) -> list[float]:
    """The mean of each loss and those before it, of a twentieth of all at most."""
    values = torch.tensor(losses, dtype=torch.float64)
    sums = torch.cat([values.new_zeros(1), values.cumsum(0)])
    width = max(1, len(values) // 20)
    last = torch.arange(1, len(values) + 1)
    first = (last - width).clamp(min=0)
    return ((sums[last] - sums[first]) / (last - first)).tolist()


class TrainingLog:
    """Files of a training in its folder.

    Args:
        folder: of the training.
        base: to try adapters on.
        validations: what they are tried on, nothing where this is empty.
        every: steps between clips of them.
        done: steps that were done when it starts, more than 0 where a training goes on.
        stop: asked at every step of such a clip whether to break off, so that the training can be stopped meanwhile.
    """

    def __init__(
        self,
        folder: Path,
        base: Base,
        validations: Sequence[Validation],
        every: int,
        done: int,
        stop: Callable[[], bool] | None = None,
    ) -> None:
        self._folder, self._base, self._validations, self._every = folder, base, validations, every
        self._done, self._stop = done, stop or (lambda: False)
        self._board: Any = None
        self.clips: list[Clip] | None = None
        """What the adapter last made of the validation pictures; None before the first step that is added."""

    def add(self, progress: TrainingProgress) -> None:
        """Log a step."""
        if self.clips is None:
            self.clips, self._board = [], _tensorboard(self._folder, self._done)
        if self._board:
            self._board.add_scalar("loss", progress.losses[-1], progress.step)
        if progress.step % self._every == 0 or progress.step == progress.steps:
            draw_curve(progress.losses, self._folder / CURVE)
            self._show(progress.step, progress.adapter)

    def close(self) -> None:
        """After the last step, or when the training is stopped."""
        if self._board:
            self._board.close()

    def _show(self, step: int, adapter: MIVAAdapter) -> None:
        if not self._validations:
            return
        try:
            self.clips = try_on(self._base, adapter, self._validations, callback=self._break_off)
        except _Stopped:
            return
        picture = validation_sheet(self._validations, self.clips)
        write_png(picture, self._folder / f"samples_{step:06d}.png")
        if self._board:
            self._board.add_image("samples", picture.numpy(), step, dataformats="HWC")

    def _break_off(self, progress: Progress) -> None:
        if self._stop():
            raise _Stopped


class _Stopped(Exception):
    """Clips of validation pictures are not wanted any more."""


def _tensorboard(folder: Path, done: int) -> Any:
    """A writer where the package is installed; what was logged after the checkpoint is dropped."""
    with suppress(ImportError):
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(str(folder / "tensorboard"), purge_step=done + 1 if done else None)
    return None
