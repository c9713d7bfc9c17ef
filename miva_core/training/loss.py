"""The training objective: restore frames 2..F beside a clean first frame."""

import torch
from torch import Tensor

from ..clips.optical_flow import FLOW_WEIGHT, flow_errors
from .denoiser import Denoiser


def place_weights(masks: Tensor, subject: float) -> Tensor:
    """How much each place of a latent clip counts: 1, and more where the subject is or was at first.

    Subjects are small, and would hardly be heard otherwise.

    Args:
        masks: (B, F, h, w) of the subjects, in [0, 1], on the grid of the latents.
        subject: how much more.

    Returns:
        (B, F, h, w)
    """
    return 1 + subject * torch.maximum(masks, masks[:, :1])


def clip_losses(
    denoiser: Denoiser,
    text: Tensor | None,
    latents: Tensor,
    noise: Tensor,
    t: Tensor,
    weights: Tensor | None = None,
    flow: Tensor | None = None,
) -> Tensor:
    """Mean of the weighted squared errors of frames 2..F (MIVA, section 3.3).

    Where the model predicts a flow, too, that is known of the clips, its errors are added.

    Args:
        text: (B, W, D) caption embeddings, None for models that run without.
        latents: (B, C, F, h, w) clean clips. noise: the same shape.
        t: (B,) steps.
        weights: (B, F, h, w) of the places, see `place_weights`; default all alike.
        flow: (B, F, 3, H, W), flow and trust, see `flow_errors`; for models that predict one.

    Returns:
        (B,) one loss per clip.
    """
    if weights is None:
        weights = torch.ones_like(latents[:, 0])
    answer, predicted = denoiser.answer_with_flow(text, latents, noise, t)
    errors = denoiser.squared_errors(answer, latents, noise, t) * weights[:, None]
    losses = errors[:, :, 1:].mean(dim=(1, 2, 3, 4))
    if flow is not None:
        losses = losses + FLOW_WEIGHT * flow_errors(predicted, flow, weights)
    return losses


def rolled_out_losses(
    denoiser: Denoiser,
    text: Tensor | None,
    latents: Tensor,
    noise: Tensor,
    t: Tensor,
    later: Tensor,
    own: Tensor,
    weights: Tensor | None = None,
    flow: Tensor | None = None,
) -> Tensor:
    """`clip_losses`, some of the clips being brought to their step by the model itself.

    A model that has only met clips noised from the truth takes the blur of its own earlier steps for evidence, and
    moves less with every step it is given.

    Args:
        later: (B,) the noisier steps that the model starts from, at least t.
        own: (B,) bool, which clips. The other arguments are those of `clip_losses`.
    """
    if own.any():
        noise = noise.clone()
        with torch.no_grad():
            rows = latents[own], noise[own]
            answer = denoiser.answer(text if text is None else text[own], *rows, later[own])
            noise[own] = rolled_out_noise(denoiser, answer, *rows, t[own], later[own])
    return own_weight(denoiser, clip_losses(denoiser, text, latents, noise, t, weights, flow), t, own)


def rolled_out_noise(
    denoiser: Denoiser, answer: Tensor, latents: Tensor, noise: Tensor, t: Tensor, later: Tensor
) -> Tensor:
    """The noise at step t of clips that one DDIM step brought there from a later one.

    Args:
        answer: the model's at the later step. The others are its own arguments.
    """
    restored, motion = denoiser.restored(answer, latents, noise, later), denoiser.motion(latents)
    (alpha, sigma), (late_alpha, late_sigma) = denoiser.levels(t, latents), denoiser.levels(later, latents)
    moving = denoiser.noised(latents, noise, later)
    return (moving - late_alpha * restored) / late_sigma + alpha / sigma * (restored - motion)


def own_weight(denoiser: Denoiser, losses: Tensor, t: Tensor, own: Tensor) -> Tensor:
    """Losses (B,) where clips that the model brought to their step weigh 1, not 1 / sigma^2.

    What the model cannot know any more should not count most at the steps with the least noise. Where a flow counts,
    too, it is weighed with the rest of its clip, and so counts less there.
    """
    if not denoiser.predicts_motion:
        return losses
    return torch.where(own, losses * denoiser.least_variance(t, losses).flatten(), losses)
