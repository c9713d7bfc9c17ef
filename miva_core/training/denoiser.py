"""A video model together with the noise it was trained on, as losses see it: one call for a batch of timesteps."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..bases.base import Base
from ..bases.guide import Guide, GuideKind
from ..bases.model_predictor import ModelPredictor
from ..diffusion.noise_process import NoiseProcess
from ..diffusion.predictor import Answer

LEAST_NOISE = 0.1
"""Floor of sigma^2 in the weight 1 / sigma^2, so that the almost clean steps do not outweigh all others."""


@dataclass(frozen=True)
class NoisedClips:
    """Clean clips with the noise that is to be added to them, and what else their losses need.

    Attributes:
        latents: (B, C, F, h, w) the clean clips.
        noise: (B, C, F, h, w) standard normal noise.
        text: (B, W, D) caption embeddings, or None for the model's own text.
        weights: (B, F, h, w) how much each place counts, see `loss.place_weights`; None for all alike.
        flow: (B, F, 3, H, W) flow and trust, see `flow_errors`, for models that predict one; None if it is unknown.
        words: (B, W, D) what adapters hear of each clip, those alone where mask sequences follow; None for nothing.
        degrees: (B,) u in [-1, 1], how much each clip moves, likewise; None where no degree is learnt.
        guide: (B, H, W) in [0, 1], what guides the model, see `Denoiser.guided_by`; None for nothing.
    """

    latents: Tensor
    noise: Tensor
    text: Tensor | None = None
    weights: Tensor | None = None
    flow: Tensor | None = None
    words: Tensor | None = None
    degrees: Tensor | None = None
    guide: Tensor | None = None

    def __getitem__(self, rows: Tensor) -> "NoisedClips":
        """Some of the clips.

        Args:
            rows: (B,) bool, which ones.
        """
        known = (self.text, self.weights, self.flow, self.words, self.degrees, self.guide)
        return NoisedClips(
            self.latents[rows], self.noise[rows], *(part if part is None else part[rows] for part in known)
        )


@dataclass(frozen=True)
class Denoiser:
    """How clips are noised, what the model answers, and what it should have answered.

    Attributes:
        predictor: the model.
        process: the noise that the model was trained on.
        say: says the words and degrees of clips to the adapters in the model, before it is called on them.
        guided_by: what the guides of clips are.
    """

    predictor: ModelPredictor
    process: NoiseProcess
    say: Callable[[NoisedClips], None] | None = None
    guided_by: GuideKind = ""

    @classmethod
    def of(cls, base: Base) -> "Denoiser":
        """Build the denoiser of a base."""
        return cls(ModelPredictor.of(base), base.noise_process)

    def relative(self, clips: NoisedClips) -> Tensor:
        """What noise is added to: latents minus their first frame if the process is centred, else the latents.

        Args:
            clips: B clips.

        Returns:
            (B, C, F, h, w)
        """
        return self.process.relative(clips.latents)

    def noised(self, clips: NoisedClips, t: Tensor) -> Tensor:
        """The clips with noise: alpha_t relative + sigma_t noise.

        Args:
            clips: B clips.
            t: (B,) steps of the noise process.

        Returns:
            (B, C, F, h, w)
        """
        return self.process.noised(self.relative(clips), clips.noise, t)

    def answer(self, clips: NoisedClips, t: Tensor) -> Answer:
        """Call the model on noised clips, their first frame clean at the same t as the rest (MIVA, section 3.3).

        Args:
            clips: B clips.
            t: (B,) steps of the noise process.
        """
        if self.say:
            self.say(clips)
        first = clips.latents[:, :, :1]
        moving = self.noised(clips, t) + self.process.centre(first)
        predictor = self.predictor if clips.text is None else replace(self.predictor, text=clips.text)
        if clips.guide is not None:
            predictor = replace(predictor, guide=Guide(clips.guide, [self.guided_by] * len(clips.guide)))
        return predictor.predict(torch.cat([first, moving[:, :, 1:]], dim=2), t)

    def restored(self, answer: Answer, clips: NoisedClips, t: Tensor) -> Tensor:
        """The clips that an answer stands for, as from `relative`.

        Args:
            answer: of the model for `clips` at step t.
            clips: B clips.
            t: (B,) steps of the noise process.

        Returns:
            (B, C, F, h, w)
        """
        return self.process.clean(answer.output, self.noised(clips, t), t)

    def squared_errors(self, answer: Answer, clips: NoisedClips, t: Tensor) -> Tensor:
        """Per-element squared error in the model's prediction type, weighted by the timestep.

        Where the model predicts the clean clips the errors are divided by sigma^2, which makes them those of the
        velocity; where the steps of a flow are drawn evenly they are weighted by a bell over t, as in Wan's released
        training (see `bell`).

        Args:
            answer: of the model for `clips` at step t.
            clips: B clips.
            t: (B,) steps of the noise process.

        Returns:
            (B, C, F, h, w)
        """
        target = self.process.target(self.relative(clips), clips.noise, t)
        errors = (answer.output - target).square()
        if self.predicts_clean:
            return errors / self.least_variance(t, errors)
        if self.process.is_flow and self.process.drawn == "even":
            return errors * bell(t.view(-1, 1, 1, 1, 1), self.process).to(errors)
        return errors

    @property
    def predicts_clean(self) -> bool:
        """Whether the answer is the clean clips, neither noise nor a velocity."""
        return self.process.prediction == "sample"

    def least_variance(self, t: Tensor, like: Tensor) -> Tensor:
        """sigma_t^2, at least `LEAST_NOISE`.

        Args:
            t: (B,) steps of the noise process.
            like: (B, …), what it is to be multiplied with.

        Returns:
            (B, 1, …)
        """
        return self.process.levels(t, like)[1].square().clamp(min=LEAST_NOISE)


def bell(t: Tensor, process: NoiseProcess) -> Tensor:
    """Weight timesteps of flow matching by a bell: exp(-2 ((t - T/2) / T)^2), scaled to a mean of 1 over the schedule.

    It is shifted to a minimum of 0, at pure noise.

    Args:
        t: steps, of any shape.
        process: of flow matching, its scheduler set to all its training steps.

    Returns:
        Weights of the shape of `t`.
    """
    count = process.length

    def height(steps: Tensor) -> Tensor:
        return torch.exp(-2 * ((steps - count / 2) / count) ** 2)

    low = height(torch.tensor(float(count)))
    return (height(t) - low) / (height(process.scheduler.timesteps.cpu().float()) - low).mean()
