"""The training objective: restore frames 2..F beside a clean first frame."""

from dataclasses import replace

import torch
from torch import Tensor

from ..clips.optical_flow import FLOW_WEIGHT, flow_errors
from ..diffusion.predictor import Answer
from .denoiser import Denoiser, NoisedClips
from .draws import Draws


def place_weights(masks: Tensor, subject: float) -> Tensor:
    """How much each place of a latent clip counts: 1, and more where the subject is or was at first.

    Subjects are small, and would hardly be learnt otherwise.

    Args:
        masks: (B, F, h, w) of the subjects, in [0, 1], on the grid of the latents.
        subject: how much more.

    Returns:
        (B, F, h, w)
    """
    return 1 + subject * torch.maximum(masks, masks[:, :1])


def clip_losses(denoiser: Denoiser, clips: NoisedClips, t: Tensor) -> Tensor:
    """Mean of the weighted squared errors of frames 2..F (MIVA, section 3.3).

    Where the clips' flow is known, which the model predicts, too, its errors are added.

    Args:
        denoiser: the model.
        clips: B clips.
        t: (B,) steps.

    Returns:
        (B,) one loss per clip.
    """
    weights = torch.ones_like(clips.latents[:, 0]) if clips.weights is None else clips.weights
    answer = denoiser.answer(clips, t)
    errors = denoiser.squared_errors(answer, clips, t) * weights[:, None]
    losses = errors[:, :, 1:].mean(dim=(1, 2, 3, 4))
    if clips.flow is not None and answer.flow is not None:
        losses = losses + FLOW_WEIGHT * flow_errors(answer.flow, clips.flow, weights)
    return losses


def rolled_out_losses(denoiser: Denoiser, clips: NoisedClips, draws: Draws) -> Tensor:
    """`clip_losses`, some of the clips being brought to their step by the model itself.

    A model that has only met clips noised from the truth takes the blur of its own earlier steps for evidence, and
    moves less with every step it is given.

    Args:
        denoiser: the model.
        clips: B clips.
        draws: their steps, and which of them are rolled out.

    Returns:
        (B,) one loss per clip.
    """
    chosen = draws.rolled_out
    if chosen.any():
        noise, some = clips.noise.clone(), clips[chosen]
        t, noisier = draws.t[chosen], draws.noisier[chosen]
        with torch.no_grad():
            noise[chosen] = rolled_out_noise(denoiser, denoiser.answer(some, noisier), some, t, noisier)
        clips = replace(clips, noise=noise)
    return weigh_rolled_out(denoiser, clip_losses(denoiser, clips, draws.t), draws.t, chosen)


def rolled_out_noise(denoiser: Denoiser, answer: Answer, clips: NoisedClips, t: Tensor, noisier: Tensor) -> Tensor:
    """The noise at step t of clips that one DDIM step brought there from a noisier one.

    Noised by it, they are what `NoiseProcess.move` makes of the answer.

    Args:
        denoiser: the model.
        answer: the model's at the noisier step.
        clips: B clips as they were at the noisier step.
        t: (B,) steps.
        noisier: (B,) steps with at least as much noise.

    Returns:
        (B, C, F, h, w)
    """
    process, restored = denoiser.process, denoiser.restored(answer, clips, noisier)
    (alpha, sigma), (noisier_alpha, noisier_sigma) = (process.levels(steps, clips.latents) for steps in (t, noisier))
    predicted = (denoiser.noised(clips, noisier) - noisier_alpha * restored) / noisier_sigma
    return predicted + alpha / sigma * (restored - denoiser.relative(clips))


def weigh_rolled_out(denoiser: Denoiser, losses: Tensor, t: Tensor, rolled_out: Tensor) -> Tensor:
    """Let clips that the model brought to their step count by 1, not by 1 / sigma^2.

    What the model cannot know any more should not count most at the steps with the least noise. Where a flow counts,
    too, it is weighed with the rest of its clip, and so counts less there.

    Args:
        denoiser: the model.
        losses: (B,) from `clip_losses`.
        t: (B,) steps.
        rolled_out: (B,) bool, which clips.

    Returns:
        (B,)
    """
    if not denoiser.predicts_clean:
        return losses
    return torch.where(rolled_out, losses * denoiser.least_variance(t, losses), losses)
