"""A video model together with the noise it was made for, as training sees it: one call for a batch of noise levels."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..bases.base import Base
from ..diffusion.noise_process import NoiseProcess

LEAST_NOISE = 0.1
"""Floor of sigma^2 in the weight 1 / sigma^2, so that the almost clean steps do not outweigh all others."""


@dataclass(frozen=True)
class Denoiser:
    """How clips are noised, what the model answers, and what it should have answered.

    Clips are (B, C, F, h, w), steps t (B,). What is noised is their motion: x - x^1 where the noise is centred on the
    first frame, and x itself elsewhere.

    Attributes:
        model: takes noisy clips, steps and a text.
        scheduler: its noise levels and kind of prediction (noise, velocity, x_0, flow).
        centred: see `Base`.
        text_per_frame: see `Base`.
        dtype: what the model is fed, where that is not the latents' own.
    """

    model: nn.Module
    scheduler: Any
    centred: bool
    text_per_frame: bool = True
    dtype: torch.dtype | None = None

    @classmethod
    def of(cls, base: Base) -> "Denoiser":
        """That of a base."""
        return cls(base.model, base.scheduler, base.centred, base.text_per_frame, base.model.dtype)

    def motion(self, latents: Tensor) -> Tensor:
        """What is to be restored of clips."""
        return latents - latents[:, :, :1] if self.centred else latents

    def noised(self, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """alpha motion + sigma noise."""
        alpha, sigma = self.levels(t, latents)
        return alpha * self.motion(latents) + sigma * noise

    def answer(self, text: Tensor | None, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What the model says of clips whose first frame it is shown clean, at the same t as the rest (3.3).

        Args:
            text: (B, W, D) caption embeddings, None for models that run without.
            latents: clean clips. noise: the same shape.

        Returns:
            Like `latents`, float32; frame 1 is of no meaning.
        """
        return self.answer_with_flow(text, latents, noise, t)[0]

    def answer_with_flow(
        self, text: Tensor | None, latents: Tensor, noise: Tensor, t: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """`answer`, and the flow that it rests on, (B, F, 2, 8h, 8w) pixels, see `WarpingOutput`; None for models that
        predict none. Arguments are those of `answer`."""
        first, copies = latents[:, :, :1], latents.shape[2] if self.text_per_frame else 1
        moving = self.noised(latents, noise, t) + (first if self.centred else 0)
        clips = torch.cat([first, moving[:, :, 1:]], dim=2)
        clips = clips.to(self.dtype or clips.dtype)
        words = None if text is None else text.to(clips).repeat_interleave(copies, dim=0)
        output = self.model(clips, t.to(clips.device), encoder_hidden_states=words)
        return output.sample.float(), getattr(output, "flow", None)

    def restored(self, answer: Tensor, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """The motion that an answer stands for."""
        return NoiseProcess(self.scheduler).clean(answer, self.noised(latents, noise, t), t)

    def squared_errors(self, answer: Tensor, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Of an answer, place by place, in the model's own kind of prediction.

        Where the model predicts the motion itself they are divided by sigma^2, which makes them those of the velocity;
        in flow matching they are weighted by a bell over t, as Wan's released training is (see `bell`).
        """
        errors = (answer - self._target(latents, noise, t)).square()
        if self.predicts_motion:
            return errors / self.least_variance(t, errors)
        if NoiseProcess(self.scheduler).is_flow:
            return errors * bell(_wide(t), self.scheduler).to(errors)
        return errors

    @property
    def predicts_motion(self) -> bool:
        """Whether the answer is the motion itself, neither noise nor a velocity."""
        return not NoiseProcess(self.scheduler).is_flow and self.scheduler.config.prediction_type == "sample"

    def least_variance(self, t: Tensor, like: Tensor) -> Tensor:
        """sigma^2 at steps t (B,), at least `LEAST_NOISE`: (B, 1, 1, 1, 1)."""
        return self.levels(t, like)[1].square().clamp(min=LEAST_NOISE)

    def levels(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """alpha and sigma at steps t (B,), both (B, 1, 1, 1, 1)."""
        return NoiseProcess(self.scheduler).levels(t, like)

    def _target(self, latents: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        motion = self.motion(latents)
        if NoiseProcess(self.scheduler).is_flow:
            return noise - motion
        alpha, sigma = self.levels(t, latents)
        kind = self.scheduler.config.prediction_type
        return {"sample": motion, "epsilon": noise, "v_prediction": alpha * noise - sigma * motion}[kind]


def bell(t: Tensor, scheduler: Any) -> Tensor:
    """The weight exp(-2 ((t - T/2) / T)^2), shifted to a minimum of 0 and scaled to a mean of 1 over the schedule."""
    count = scheduler.config.num_train_timesteps

    def height(steps: Tensor) -> Tensor:
        return torch.exp(-2 * ((steps - count / 2) / count) ** 2)

    low = height(torch.tensor(float(count)))
    return (height(t) - low) / (height(scheduler.timesteps.cpu().float()) - low).mean()


def _wide(t: Tensor) -> Tensor:
    return t.view(-1, 1, 1, 1, 1)
