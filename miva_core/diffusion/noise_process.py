"""The noise process a denoiser was trained on: how much noise each step holds, and what an answer of the model means.

Symbols: x_0 clean latents, eps standard normal noise, t a step of the process, x_t = alpha_t x_0 + sigma_t eps.
"""

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

FlowDraws = Literal["even", "logit-normal"]


class Schedule(Protocol):
    """The steps of a run, and how each of them is made."""

    @property
    def timesteps(self) -> Tensor:
        """(steps,) falling."""

    def step(self, model_output: Tensor, timestep: Any, sample: Tensor, /) -> Any:
        """From the noise level of `timestep` to that of the next step; `prev_sample` of the result is x there."""


class Scheduler(Schedule, Protocol):
    """A scheduler of diffusers."""

    @property
    def config(self) -> Any:
        """Its settings, such as `num_train_timesteps`, as a mapping whose values are attributes as well."""


@dataclass(frozen=True)
class NoiseProcess:
    """The noise levels and the prediction type of a scheduler.

    It follows from the scheduler's settings alone, not from the steps that the scheduler is set to.

    A centred process adds its noise to differences from the first frame: x_t = x^1 + alpha_t (x_0 - x^1) + sigma_t eps.
    All methods but `centre` and `relative` take and return such differences then; elsewhere these are the latents
    themselves.

    Steps t are tensors, () for one step or (B,) for one of each clip of a batch.

    Attributes:
        scheduler: any diffusers scheduler for noise that preserves variance, or for flow matching.
        centred: whether the noise is centred on the first frame.
        drawn: in flow matching, how training draws steps: "even" over the shifted schedule, where the loss weighs them
            by a bell, as Wan's does; or "logit-normal", where all count alike, as in Stable Diffusion 3, SANA, MiraMo.

    Example:
        >>> process = NoiseProcess(DDIMScheduler())
        >>> noisy = process.noised(clean, noise, t)
        >>> guess = process.clean(model(noisy, t).sample, noisy, t)
    """

    scheduler: Scheduler
    centred: bool = False
    drawn: FlowDraws = "even"

    @property
    def alphas_cumprod(self) -> Tensor | None:
        """(T,) alpha_t^2 of every step on the CPU; None in flow matching, whose steps are no whole numbers."""
        table: Tensor | None = getattr(self.scheduler, "alphas_cumprod", None)
        return None if table is None or self.is_flow else table.cpu()

    @property
    def prediction(self) -> str:
        """What the model predicts: "epsilon", "v_prediction", "sample" (x_0) or "flow_prediction"."""
        if not hasattr(self.scheduler, "alphas_cumprod"):
            return "flow_prediction"
        return self.scheduler.config.get("prediction_type", "epsilon")

    @property
    def is_flow(self) -> bool:
        """Whether this is flow matching, where x_t = (1 - sigma_t) x_0 + sigma_t eps and t = T sigma_t."""
        return self.prediction == "flow_prediction"

    @property
    def shift(self) -> float:
        """In flow matching, by how much its steps are shifted towards noise, see `steps_at`."""
        config = self.scheduler.config
        return config.shift if "shift" in config else config.flow_shift

    @property
    def length(self) -> int:
        """The number T of steps that the model was trained on."""
        return self.scheduler.config.num_train_timesteps

    def levels(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """The noise level of a step.

        Args:
            t: () or (B,) steps.
            like: (B, …) latents.

        Returns:
            alpha_t and sigma_t, both () or (B, 1, …), of the device and dtype of `like`.
        """
        t = t.view(-1, *[1] * (like.ndim - 1)) if t.ndim else t
        if self.alphas_cumprod is None:
            sigma = t / self.length
            return (1 - sigma).to(like), sigma.to(like)
        alpha_bar = self.alphas_cumprod[t.long().cpu()]
        return alpha_bar.sqrt().to(like), (1 - alpha_bar).sqrt().to(like)

    def noised(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Add noise: x_t = alpha_t x_0 + sigma_t eps.

        Args:
            clean: (B, …) x_0.
            noise: (B, …) eps.
            t: () or (B,) steps.

        Returns:
            (B, …) x_t.
        """
        alpha, sigma = self.levels(t, clean)
        return alpha * clean + sigma * noise

    def clean(self, output: Tensor, noisy: Tensor, t: Tensor) -> Tensor:
        """Predict x_0 from what the model returned.

        Args:
            output: (B, …) what the model returned for x_t, see `prediction`.
            noisy: (B, …) x_t.
            t: () or (B,) steps.

        Returns:
            (B, …) the model's present guess of x_0.
        """
        alpha, sigma = self.levels(t, noisy)
        if self.is_flow:
            return noisy - sigma * output
        if self.prediction == "sample":
            return output
        if self.prediction == "v_prediction":
            return alpha * noisy - sigma * output
        return (noisy - sigma * output) / alpha

    def target(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """The output that the model should return for x_t: its training target.

        Args:
            clean: (B, …) x_0.
            noise: (B, …) eps.
            t: () or (B,) steps.

        Returns:
            (B, …) eps, alpha_t eps - sigma_t x_0, x_0 or, in flow matching, eps - x_0; see `prediction`.
        """
        if self.is_flow:
            return noise - clean
        if self.prediction == "sample":
            return clean
        if self.prediction == "v_prediction":
            alpha, sigma = self.levels(t, clean)
            return alpha * noise - sigma * clean
        return noise

    def move(self, clean: Tensor, noisy: Tensor, t: Tensor, to: Tensor) -> Tensor:
        """Go from one noise level to another along the line from the noise to x_0, however far.

        This is a step of DDIM without added noise, and in flow matching one of Euler's method.

        Args:
            clean: (B, …) x_0, usually as predicted.
            noisy: (B, …) x_t.
            t: () or (B,) steps of `noisy`; sigma_t is not 0.
            to: () or (B,) steps to go to.

        Returns:
            (B, …) x at the steps `to`.
        """
        return along_line(clean, noisy, self.levels(t, noisy), self.levels(to, noisy))

    def relative(self, latents: Tensor) -> Tensor:
        """Latents minus their first frame if `centred`, else as they are: what noise is added to.

        Args:
            latents: (B, C, F, h, w); a picture is a clip of one frame.

        Returns:
            (B, C, F, h, w)
        """
        return latents - latents[:, :, :1] if self.centred else latents

    def centre(self, x1: Tensor) -> Tensor:
        """What to add to `relative` latents to get them back.

        Args:
            x1: (B, C, 1, h, w) clean first frame.

        Returns:
            (B, C, 1, h, w) the first frame if `centred`, else zeros.
        """
        return x1 if self.centred else torch.zeros_like(x1)

    def steps_at(self, share: Tensor) -> Tensor:
        """The steps at shares of the noise schedule, from clean to noise.

        Args:
            share: (B,) u in [0, 1), 0 being clean.

        Returns:
            (B,) whole numbers from 0 to T - 1. In flow matching T sigma, shifted as in the scheduler:
            sigma = s u / (1 + (s - 1) u).
        """
        if self.is_flow:
            shift = self.shift
            return self.length * shift * share / (1 + (shift - 1) * share)
        return (self.length * share).long().clamp(max=self.length - 1)

    def training_shares(self, quantile: Tensor) -> Tensor:
        """Places in the noise schedule as training draws them, of quantiles of that draw.

        Logit-normal shares are the logistic function of standard normal draws (Stable Diffusion 3, arXiv 2403.03206,
        section 3.1, with the mean 0 and deviation 1 of MiraMo's configuration); `steps_at` shifts them afterwards.

        Args:
            quantile: (B,) uniform draws from [0, 1).

        Returns:
            (B,) u for `steps_at`, rising with the quantile.
        """
        if self.is_flow and self.drawn == "logit-normal":
            return torch.special.ndtri(quantile).sigmoid()
        return quantile

    def share_at(self, t: float) -> float:
        """The share of the noise schedule at a step; the inverse of `steps_at`.

        Args:
            t: step in [0, T], T being all noise.

        Returns:
            u in [0, 1].
        """
        shift = self.shift if self.is_flow else 1
        return t / (shift * self.length - (shift - 1) * t)

    def same_as(self, other: "NoiseProcess") -> bool:
        """Whether both have the same kind of prediction and, but for rounding, the same table of noise levels."""
        ours, theirs = self.alphas_cumprod, other.alphas_cumprod
        if self.prediction != other.prediction or ours is None or theirs is None:
            return self.prediction == other.prediction
        return ours.shape == theirs.shape and torch.allclose(ours, theirs, atol=1e-5)


def along_line(clean: Tensor, noisy: Tensor, level: tuple[Tensor, Tensor], to: tuple[Tensor, Tensor]) -> Tensor:
    """Go from one noise level to another along the line from the noise to x_0, see `NoiseProcess.move`.

    Args:
        clean: (B, …) x_0.
        noisy: (B, …) x_t.
        level: alpha_t and sigma_t of `noisy`, see `NoiseProcess.levels`; sigma_t is not 0.
        to: the same of the result.

    Returns:
        (B, …)
    """
    (alpha, sigma), (next_alpha, next_sigma) = level, to
    return next_alpha * clean + next_sigma / sigma * (noisy - alpha * clean)
