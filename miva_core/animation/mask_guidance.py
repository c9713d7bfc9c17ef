"""Mask sequences denoised beside a clip, at a few of its steps: what they show guides the steps after (3.4, B.1.3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..attention.injection import Injection
from ..diffusion.noise_process import NoiseProcess
from ..diffusion.predictor import Answer, Predictor
from .readout import Readout


def mask_steps(steps: int) -> tuple[int, ...]:
    """Choose which of a run's steps carry masks: {0, 5, …, 35} of 50 (B.1.3), scaled to other numbers of steps."""
    return tuple(sorted({k * steps // 50 for k in range(0, 40, 5)}))


@dataclass(frozen=True)
class MaskStream:
    """The mask sequence of one masked adapter, before it is denoised.

    Attributes:
        first: (H, W) in [0, 1], the mask of frame 1.
        x1: (1, C, 1, h, w), its latent as a picture.
        start: (1, C, F, h, w), start latents.
        readout: from latents to masks.
    """

    first: Tensor
    x1: Tensor
    start: Tensor
    readout: Readout


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
        self._predictor, self._injection, self._process, self._timesteps = predictor, injection, process, timesteps
        injection.set_masks(None)
        self._streams = {name: streams[name] for name in injection.masked}
        self._x1 = torch.cat([stream.x1 for stream in self._streams.values()])
        self._moving = torch.cat([stream.start for stream in self._streams.values()])[:, :, 1:]
        self._centre = process.centre(self._x1)
        self._due = list(steps)
        self.masks: dict[str, Tensor] = {}
        """The masks as last predicted, (F, H, W) in [0, 1], on the grid of their read-out; none at first."""

    def predict(self, clips: Tensor, t: Tensor, step: int, /) -> Answer:
        """Denoise one clip, at mask steps together with its masks; see `Predictor`."""
        due = step in self._due
        self._injection.set_mask_streams(due)
        if not due:
            return self._predictor.predict(clips, t, step)
        masks = torch.cat([self._x1, self._moving + self._centre], dim=2)
        answer = self._predictor.predict(torch.cat([clips, masks]), t, step)
        self._advance(answer.output[len(clips) :, :, 1:], step)
        return answer[: len(clips)]

    def _advance(self, output: Tensor, step: int) -> None:
        """Read off the masks, guide by them, and go to the next mask step."""
        t = self._timesteps[step]
        clean = self._process.clean(output, self._moving, t)
        self.masks = self._read(clean)
        self._injection.set_masks({name: self._to_latents(mask)[None] for name, mask in self.masks.items()})
        self._due = [mask_step for mask_step in self._due if mask_step > step]
        if self._due:
            self._moving = self._process.move(clean, self._moving, t, self._timesteps[self._due[0]])

    def _read(self, clean: Tensor) -> dict[str, Tensor]:
        latents = torch.cat([self._x1, clean + self._centre], dim=2)
        masks = {}
        for (name, stream), sequence in zip(self._streams.items(), latents, strict=True):
            mask = stream.readout(sequence[None]).to(sequence)
            first = F.interpolate(stream.first[None, None].to(mask), mask.shape[1:], mode="area")[0]
            masks[name] = torch.cat([first, mask[1:]])
        return masks

    def _to_latents(self, mask: Tensor) -> Tensor:
        return F.interpolate(mask[None], self._x1.shape[-2:], mode="area")[0]
