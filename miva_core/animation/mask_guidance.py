"""Mask sequences denoised beside a clip, at a few of its steps: what they show guides the steps after (3.4, B.1.3)."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..attention.injection import Injection
from ..diffusion.noise_process import NoiseProcess
from ..diffusion.predictor import Answer, Predictor
from .mask_sequences import MaskSequences, MaskStream


def mask_steps(steps: int) -> tuple[int, ...]:
    """Choose which of a run's steps carry masks: {0, 5, …, 35} of 50 (B.1.3), scaled to other numbers of steps."""
    return tuple(sorted({k * steps // 50 for k in range(0, 40, 5)}))


class GuidedByMasks:
    """A predictor whose clip is guided by the masks of its subjects, which are denoised together with it.

    The masks need no scheduler: from one mask step to the next they move in closed form, see `NoiseProcess.move`. They
    are read off the model's prediction of latents that were not stepped yet, and guide the model from the next step on.

    Args:
        predictor: the model with the adapters in it.
        injection: the injection of these adapters, which is set to the masks that passes hold and are guided by.
        process: the noise that the model was trained on.
        timesteps: (steps,) of the run.
        streams: by the name of their adapter.
        steps: which of the run's steps carry masks, see `mask_steps`.
    """

    def __init__(
        self,
        predictor: Predictor,
        injection: Injection,
        process: NoiseProcess,
        timesteps: Tensor,
        streams: Mapping[str, MaskStream],
        steps: Sequence[int],
    ) -> None:
        self._predictor, self._injection, self._timesteps = predictor, injection, timesteps
        injection.set_masks(None)
        self._sequences = MaskSequences({name: streams[name] for name in injection.masked}, process)
        self._due = list(steps)
        self.masks: dict[str, Tensor] = {}
        """The masks as last predicted, (F, H, W) in [0, 1], on the grid of their read-out; none at first."""

    def predict(self, clips: Tensor, t: Tensor, step: int, /) -> Answer:
        """Denoise one clip, at mask steps together with its masks; see `Predictor`."""
        due = step in self._due
        self._injection.set_mask_streams(due)
        if not due:
            return self._predictor.predict(clips, t, step)
        answer = self._predictor.predict(torch.cat([clips, self._sequences.latents]), t, step)
        self._advance(answer.output[len(clips) :], step)
        return answer[: len(clips)]

    def _advance(self, output: Tensor, step: int) -> None:
        """Read off the masks, guide by them, and go to the next mask step."""
        self._due = [mask_step for mask_step in self._due if mask_step > step]
        to = self._timesteps[self._due[0]] if self._due else None
        self.masks = self._sequences.advance(output, self._timesteps[step], to)
        self._injection.set_masks(self._sequences.on_latents(self.masks))
