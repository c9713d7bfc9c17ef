"""A training that a node runs: recognised by its settings, shown while it runs, kept when it is stopped."""

import hashlib
import itertools
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..miva_core.bases.recipe import Recipe
from ..miva_core.media.pictures import read_picture
from ..miva_core.media.video import write_png
from ..miva_core.storage.files import replacing
from ..miva_core.training.files import ENCODED, lacks_its_report, training_folder
from ..miva_core.training.kept_encodings import count_encodings
from ..miva_core.training.log import CURVE
from ..miva_core.training.loop import CHECKPOINT, TrainingProgress
from ..miva_core.training.options import Precision, TrainOptions
from ..miva_core.training.run import train_and_save
from ..miva_core.training.settings import training_settings
from ..miva_core.training.state import read_state
from ..miva_core.training.training_set import TrainingSet
from ..miva_core.training.validation import Validation, try_on, validation_sheet
from . import comfy_bridge
from .comfy_bridge import comfy_folders
from .file_names import is_reserved
from .sockets import MivaModel
from .stacks import MivaStack, StackedMiva

_PRECISION: dict[torch.dtype, Precision] = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}
"""What a base computes in, by what it was loaded in."""


@dataclass(frozen=True)
class NodeTraining:
    """A training that is recognised: queued once more with the same settings it goes on, or is found done.

    Attributes:
        model: the base that learns.
        training_set: what is learnt.
        recipe: how.
        options: how it runs; `run` finds out by itself whether it goes on.
        out: the adapter file, in a folder of its own; its name tells what is learnt, how and from what.
    """

    model: MivaModel
    training_set: TrainingSet
    recipe: Recipe
    options: TrainOptions
    out: Path

    @classmethod
    def of(
        cls, model: MivaModel, training_set: TrainingSet, recipe: Recipe, seed: int, start: MivaStack
    ) -> "NodeTraining":
        begun = model.adapters(start)[-1].adapter if start else None
        options = TrainOptions(seed=seed, precision=_PRECISION[model.base.dtype], start=begun)
        settings = training_settings(model.base, recipe, options, None)
        learnt = [training_set.digest(), training_set.motion, training_set.flip, training_set.subject]
        # Left out where there is none, as it was before there were any: those trainings are found again.
        learnt += filter(None, [training_set.degree, training_set.guide])
        identity = json.dumps([settings, model.files, *learnt], sort_keys=True)
        digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
        stem = re.sub(r"[^\w-]+", "_", training_set.motion).strip("_")[:60] or "motion"
        stem = f"{stem}_motion" if is_reserved(stem) else stem
        folder = comfy_folders.trainings_folder() / f"{stem}_{digest}"
        return cls(model, training_set, recipe, options, folder / f"{stem}.safetensors")

    def run(self, validations: list[Validation]) -> list[float]:
        """Train unless that is done; the loss of each step.

        Raises ComfyUI's own exception when the user stops it, after what was learnt is kept.
        """
        checkpoint = training_folder(self.out) / CHECKPOINT
        if self.out.exists() and not checkpoint.is_file():
            return []
        if self.out.exists() and not lacks_its_report(self.out):
            return read_state(checkpoint).losses.tolist()
        self.out.parent.mkdir(parents=True, exist_ok=True)
        self.model.load_to_device(comfy_bridge.memory_for_training(self.model.base))
        before = self._newest_sheet()
        stop = comfy_bridge.LateInterruption()
        bar = _Bar(stop, len(self.training_set.clips), self.recipe.steps)
        try:
            outcome = train_and_save(
                self.model.base,
                self.training_set,
                self.recipe,
                self.out,
                options=replace(self.options, resume=checkpoint.is_file()),
                validations=validations,
                callback=self._watcher(bar.show_learnt),
                stop=stop.asked,
                on_progress=bar.show_encoded,
            )
        except KeyboardInterrupt:
            kept = count_encodings(training_folder(self.out) / ENCODED)
            bar.show_stop(read_state(checkpoint).step if checkpoint.is_file() else 0, kept)
            stop.raise_if_asked()
            raise
        bar.show_stop(len(outcome.losses))
        stop.raise_if_asked()
        newest = self._newest_sheet()
        if newest and newest != before:
            with replacing(self._sheet_of(validations)) as temporary:
                shutil.copyfile(newest, temporary)
        return list(outcome.losses)

    def tried_on(self, validations: list[Validation], made: StackedMiva) -> Tensor:
        """What the finished motion makes of the pictures, (1, H, W, 3) in [0, 1]; a sheet that is there is taken."""
        path = self._sheet_of(validations)
        if not path.exists():
            base, on_progress, done = self.model.base, comfy_bridge.progress_callback(), itertools.count(1)
            loaded = self.model.adapters((made,))
            rows, total = 1 + self.training_set.takes_masks, len(validations)
            self.model.load_to_device(comfy_bridge.memory_for_sampling(base, base.frames, base.size, rows), loaded)
            clips = try_on(
                base, loaded[0].adapter, validations, callback=lambda now: on_progress(next(done), now.steps * total)
            )
            path.parent.mkdir(exist_ok=True)
            write_png(validation_sheet(validations, clips), path)
        return read_picture(path)[None]

    def _sheet_of(self, validations: list[Validation]) -> Path:
        """Where the sheet of these very pictures is."""
        digest = hashlib.sha256()
        for validation in validations:
            digest.update(validation.label.encode())
            for seen in (validation.picture, validation.mask, validation.nearness):
                digest.update(b"" if seen is None else seen.contiguous().numpy().data)
        return training_folder(self.out) / f"tried_on_{digest.hexdigest()[:8]}.png"

    def _newest_sheet(self) -> Path | None:
        """The last sheet that was made while it learnt."""
        return max(training_folder(self.out).glob("samples_*.png"), default=None)

    def _watcher(self, show: Callable[[int, Any], None]) -> Callable[[TrainingProgress], None]:
        """Shows progress, and validation clips above the curve of the loss as often as they are made.

        Args:
            show: of a step, and a preview or None.
        """
        shown: Path | None = None

        def watch(progress: TrainingProgress) -> None:
            nonlocal shown
            newest, preview = self._newest_sheet(), None
            if newest and newest != shown:
                shown = newest
                curve = read_picture(training_folder(self.out) / CURVE)
                preview = comfy_bridge.preview_of(_above(read_picture(newest), curve))
            show(progress.step, preview)

        return watch


class _Bar:
    """One bar over the clips that are encoded and the steps that are learnt after them.

    Args:
        stop: keeps what the bar raises, which would lose what was learnt since the last checkpoint.
        clips: number of those that are encoded.
        steps: number of those that are learnt.
    """

    def __init__(self, stop: comfy_bridge.LateInterruption, clips: int, steps: int) -> None:
        self._stop, self._clips, self._steps = stop, clips, steps
        self._bar = comfy_bridge.ProgressBar()
        self._encoded = 0

    def show_encoded(self, done: int, total: int) -> None:
        self._encoded = done
        self._show(done, None)

    def show_learnt(self, done: int, preview: Any) -> None:
        self._show(self._clips + done, preview)

    def show_stop(self, learnt: int, encoded: int = 0) -> None:
        """Write onto the node what is kept, if the user has stopped the training.

        Args:
            learnt: steps that are saved.
            encoded: files of encoded clips, which other ones may be among.
        """
        if not self._stop.asked():
            return
        clips = min(encoded, self._encoded)
        kept = (
            f"{learnt} of {self._steps} steps are learnt" if learnt else f"{clips} of {self._clips} clips are encoded"
        )
        if learnt or clips:
            comfy_bridge.show_text(f"Stopped: {kept}, and kept: run again to go on.")
        else:
            comfy_bridge.show_text("Stopped: no step was done, and no encoded clip is kept: run again to begin anew.")

    def _show(self, done: int, preview: Any) -> None:
        with self._stop.deferred():
            self._bar.update(done, self._clips + self._steps, preview)


def _above(upper: Tensor, lower: Tensor) -> Tensor:
    """Two pictures (H, W, 3) as one, on white."""
    width = max(upper.shape[1], lower.shape[1])
    wide = [torch.nn.functional.pad(one, (0, 0, 0, width - one.shape[1]), value=1.0) for one in (upper, lower)]
    return torch.cat(wide)
