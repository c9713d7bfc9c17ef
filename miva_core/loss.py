"""The training objective: denoise frames 2..F beside a clean first frame."""

import torch
from einops import repeat
from torch import Tensor, nn


def velocity_losses(
    model: nn.Module, text: Tensor, latents: Tensor, noise: Tensor, t: Tensor, alphas_cumprod: Tensor
) -> Tensor:
    """Mean squared error of the velocity alpha eps - sigma (x - x^1), noise centred on the first frame.

    The first frame is given clean at the same t as the rest and left out of the loss (MIVA, sections 3.3 and 4.1).

    Args:
        text: (B, W, D) caption embeddings.
        latents: (B, C, F, h, w) clean clips. noise: the same shape.
        t: (B,) steps, indices of `alphas_cumprod`.

    Returns:
        (B,) one loss per clip.
    """
    alpha, sigma = (
        table[t][:, None, None, None, None] for table in (alphas_cumprod.sqrt(), (1 - alphas_cumprod).sqrt())
    )
    first, motion, noise = latents[:, :, :1], latents[:, :, 1:] - latents[:, :, :1], noise[:, :, 1:]
    noisy = first + alpha * motion + sigma * noise
    text = repeat(text, "b w d -> (b f) w d", f=latents.shape[2])
    velocity = model(torch.cat([first, noisy], dim=2), t, text).sample[:, :, 1:].float()
    return (velocity - (alpha * noise - sigma * motion)).square().mean(dim=(1, 2, 3, 4))


def draw_steps(count: int, steps: int, power: float = 1.0) -> Tensor:
    """Stratified random steps (count,); a power below 1 prefers late, noisy steps, where motion is decided."""
    u = (torch.randperm(count) + torch.rand(count)) / count
    return (steps * u**power).long().clamp_(max=steps - 1)
