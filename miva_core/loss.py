"""The training objective: restore frames 2..F beside a clean first frame."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SUBJECT_WEIGHT = 6.0
"""How much more a place counts where a subject is, which is small and would hardly be heard otherwise."""

LEAST_NOISE = 0.1
"""Floor of sigma^2 in the weight 1 / sigma^2, so that the almost clean steps do not outweigh all others."""


def place_weights(masks: Tensor, patch: int, subject: float = SUBJECT_WEIGHT) -> Tensor:
    """How much each place of a latent clip counts: 1, and more where the subject is or was at first.

    Args:
        masks: (B, F, H, W) of the subjects, in [0, 1].
        patch: pixels per latent cell and side.
        subject: how much more.

    Returns:
        (B, F, H / patch, W / patch)
    """
    return 1 + subject * F.avg_pool2d(torch.maximum(masks, masks[:, :1]), patch)


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
    predicted, motion = predict_motion(model, text, latents, noise, t, alphas_cumprod), latents - latents[:, :, :1]
    _, sigma = noise_levels(t, alphas_cumprod)
    errors = (predicted - motion)[:, :, 1:].square() / sigma.square().clamp(min=LEAST_NOISE)
    if weights is not None:
        errors = errors * weights[:, None, 1:]
    return errors.mean(dim=(1, 2, 3, 4))


def noise_levels(t: Tensor, alphas_cumprod: Tensor) -> tuple[Tensor, Tensor]:
    """alpha and sigma at steps t (B,), both (B, 1, 1, 1, 1)."""
    kept = alphas_cumprod[t][:, None, None, None, None]
    return kept.sqrt(), (1 - kept).sqrt()


def predict_motion(
    model: nn.Module, text: Tensor, latents: Tensor, noise: Tensor, t: Tensor, alphas_cumprod: Tensor
) -> Tensor:
    """What the model takes for x - x^1, seeing x^1 clean and the other frames noised around it; arguments as in
    `clip_losses`. (B, C, F, h, w) float32, frame 1 being of no meaning."""
    alpha, sigma = noise_levels(t, alphas_cumprod)
    first = latents[:, :, :1]
    noisy = first + alpha * (latents - first) + sigma * noise
    clips = torch.cat([first, noisy[:, :, 1:]], dim=2)
    return model(clips, t, text.repeat_interleave(latents.shape[2], dim=0)).sample.float()


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
    later = later_steps(t, len(alphas_cumprod))
    predicted = predict_motion(model, text, latents, noise, later, alphas_cumprod)
    return rolled_out_noise(predicted, latents, noise, t, later, alphas_cumprod)


def later_steps(t: Tensor, steps: int) -> Tensor:
    """A random noisier step for each of t (B,)."""
    return (t + (steps - 1 - t) * torch.rand_like(t, dtype=torch.float)).long()


def rolled_out_noise(
    predicted: Tensor, latents: Tensor, noise: Tensor, t: Tensor, later: Tensor, alphas_cumprod: Tensor
) -> Tensor:
    """The noise at step t of clips that one DDIM step brought there from a later one.

    Args:
        predicted: what the model took for x - x^1 at the later step, see `predict_motion`. The others are its own.
    """
    alpha, sigma = noise_levels(t, alphas_cumprod)
    late_alpha, late_sigma = noise_levels(later, alphas_cumprod)
    motion = latents - latents[:, :, :1]
    moving = late_alpha * motion + late_sigma * noise
    return (moving - late_alpha * predicted) / late_sigma + alpha / sigma * (predicted - motion)


def draw_steps(count: int, steps: int, power: float = 1.0) -> Tensor:
    """Stratified random steps (count,); a power below 1 prefers late, noisy steps, where motion is decided."""
    u = (torch.randperm(count) + torch.rand(count)) / count
    return (steps * u**power).long().clamp_(max=steps - 1)
