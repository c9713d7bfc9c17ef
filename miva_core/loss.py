"""The training objective: restore frames 2..F beside a clean first frame."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SUBJECT_WEIGHT = 6.0
"""How much more a place counts where a subject is, which is small and would hardly be heard otherwise."""

LEAST_NOISE = 0.1
"""Floor of sigma^2 in the weight 1 / sigma^2, so that the almost clean steps do not outweigh all others."""


def place_weights(masks: Tensor, patch: int) -> Tensor:
    """How much each place of a latent clip counts: 1, and `SUBJECT_WEIGHT` more where the subject is or was at first.

    Args:
        masks: (B, F, H, W) of the subjects, in [0, 1].
        patch: pixels per latent cell and side.

    Returns:
        (B, F, H / patch, W / patch)
    """
    return 1 + SUBJECT_WEIGHT * F.avg_pool2d(torch.maximum(masks, masks[:, :1]), patch)


def clip_losses(
    model: nn.Module,
    text: Tensor,
    latents: Tensor,
    noise: Tensor,
    t: Tensor,
    alphas_cumprod: Tensor,
    weights: Tensor | None = None,
) -> Tensor:
    """Weighted squared error of the predicted motion x - x^1, with noise centred on the first frame.

    The model sees x^1 + alpha (x - x^1) + sigma eps and predicts x - x^1 itself, not the noise: a small network cannot
    carry all of the noise to its output, and what it cannot carry would stay in the picture as grain. The weight
    1 / sigma^2 makes the error that of the velocity. The first frame is given clean at the same t as the rest and left
    out of the loss (MIVA, section 3.3).

    Args:
        text: (B, W, D) caption embeddings.
        latents: (B, C, F, h, w) clean clips. noise: the same shape.
        t: (B,) steps, indices of `alphas_cumprod`.
        weights: (B, F, h, w) of the places, see `place_weights`; default all alike.

    Returns:
        (B,) one loss per clip.
    """
    alpha, sigma = (
        table[t][:, None, None, None, None] for table in (alphas_cumprod.sqrt(), (1 - alphas_cumprod).sqrt())
    )
    first, motion = latents[:, :, :1], latents[:, :, 1:] - latents[:, :, :1]
    noisy = first + alpha * motion + sigma * noise[:, :, 1:]
    text = text.repeat_interleave(latents.shape[2], dim=0)
    predicted = model(torch.cat([first, noisy], dim=2), t, text).sample[:, :, 1:].float()
    errors = (predicted - motion).square() / sigma.square().clamp(min=LEAST_NOISE)
    if weights is not None:
        errors = errors * weights[:, None, 1:]
    return errors.mean(dim=(1, 2, 3, 4))


def rolled_out_losses(
    model: nn.Module,
    text: Tensor,
    latents: Tensor,
    noise: Tensor,
    t: Tensor,
    alphas_cumprod: Tensor,
    share: float | Tensor,
    weights: Tensor | None = None,
) -> Tensor:
    """`clip_losses`, a share of the clips being brought to their step by the model itself.

    A model that has only met clips noised from the truth takes the blur of its own earlier steps for evidence, and
    moves less with every step it is given. The weight of those clips is 1, not 1 / sigma^2: what the model cannot know
    any more should not count most at the steps with the least noise.

    Args:
        share: of the clips, in [0, 1], or (B,) the chance of each; 0 gives `clip_losses`. The other arguments are its
            own.
    """
    own = torch.rand(len(t), device=t.device) < share
    if own.any():
        noise = noise.clone()
        noise[own] = _roll_out(model, text[own], latents[own], noise[own], t[own], alphas_cumprod)
    losses = clip_losses(model, text, latents, noise, t, alphas_cumprod, weights)
    return torch.where(own, losses * (1 - alphas_cumprod[t]), losses)


@torch.no_grad()
def _roll_out(
    model: nn.Module, text: Tensor, latents: Tensor, noise: Tensor, t: Tensor, alphas_cumprod: Tensor
) -> Tensor:
    """The noise with which `clip_losses` meets the clips as one DDIM step of the model from a random later step has
    left them. Arguments as there."""
    later = (t + (len(alphas_cumprod) - 1 - t) * torch.rand_like(t, dtype=torch.float)).long()
    alpha, sigma, late_alpha, late_sigma = (
        table[steps][:, None, None, None, None]
        for steps in (t, later)
        for table in (alphas_cumprod.sqrt(), (1 - alphas_cumprod).sqrt())
    )
    first, motion = latents[:, :, :1], latents - latents[:, :, :1]
    moving = late_alpha * motion + late_sigma * noise
    clips = torch.cat([first, first + moving[:, :, 1:]], dim=2)
    predicted = model(clips, later, text.repeat_interleave(latents.shape[2], dim=0)).sample.float()
    return (moving - late_alpha * predicted) / late_sigma + alpha / sigma * (predicted - motion)


def draw_steps(count: int, steps: int, power: float = 1.0) -> Tensor:
    """Stratified random steps (count,); a power below 1 prefers late, noisy steps, where motion is decided."""
    u = (torch.randperm(count) + torch.rand(count)) / count
    return (steps * u**power).long().clamp_(max=steps - 1)
