"""The training objective of a masked MIVA: its subject's clip and mask restored together (3.4, B.1.2)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .injection import Injection
from .loss import clip_losses, later_steps, predict_motion, rolled_out_noise

UNGUIDED = 0.9
"""Above this share of the noise levels half of the clips go unguided, as all do before the first mask is known."""


def ground_truth_share(step: int, steps: int) -> float:
    """The chance ½(1 + cos(π step / steps)) of guidance by the true masks: all at first, none in the end (B.1.2)."""
    return 0.5 * (1 + math.cos(math.pi * step / steps))


def masked_losses(
    miva: Injection,
    model: nn.Module,
    text: Tensor,
    latents: Tensor,
    noise: Tensor,
    t: Tensor,
    alphas_cumprod: Tensor,
    masks: Tensor,
    weights: Tensor,
    *,
    read_out: Callable[[Tensor], Tensor],
    truth: float,
    rolled_out: float,
) -> Tensor:
    """`clip_losses` of clips and of their mask sequences, guided by the true masks or by those the model predicts.

    The model first sees both at a noisier step. What it takes for the mask there guides it at step t, as in sampling,
    and a share of the clips, with their masks, is brought to t by that very prediction, see `rolled_out_losses`.

    Args:
        miva: the injection of the one adapter that is trained.
        text: (B, W, D) caption embeddings.
        latents: (2 B, C, F, h, w): clips, then their mask sequences as pictures, white on black. noise: the same shape.
        t: (B,) steps, indices of `alphas_cumprod`.
        masks: (B, F, h, w) in [0, 1], the true ones.
        weights: (B, F, h, w) of the places, see `place_weights`.
        read_out: latents of the mask sequences (B, C, F, h, w) to masks (B, F, h, w), see `readout`.
        truth: chance of guidance by the true masks, see `ground_truth_share`.
        rolled_out: share of the clips.

    Returns:
        (2 B,) losses.
    """
    (name,), count, steps = miva.masked, len(t), len(alphas_cumprod)
    later = later_steps(t, steps)
    text, both, both_later = text.repeat(2, 1, 1), t.repeat(2), later.repeat(2)
    miva.set_mask_streams(True)
    with torch.no_grad():
        miva.set_masks({name: _unguided_early(masks, later, steps)})
        predicted = predict_motion(model, text, latents, noise, both_later, alphas_cumprod)
        is_true = torch.rand(count, device=t.device) < truth
        proxy = torch.cat([masks[:, :1], read_out((latents[:, :, :1] + predicted)[count:])[:, 1:]], dim=1)
        guide = torch.where(is_true[:, None, None, None], masks, proxy)
        miva.set_masks({name: _unguided_early(guide, t, steps)})
        own = (torch.rand(count, device=t.device) < rolled_out).repeat(2)
        rolled = rolled_out_noise(predicted, latents, noise, both, both_later, alphas_cumprod)
        noise = torch.where(own[:, None, None, None, None], rolled, noise)
    losses = clip_losses(model, text, latents, noise, both, alphas_cumprod, weights.repeat(2, 1, 1, 1))
    return torch.where(own, losses * (1 - alphas_cumprod[both]), losses)


def _unguided_early(masks: Tensor, t: Tensor, steps: int) -> Tensor:
    """Half of the clips at early steps get a mask of ones, which says nothing."""
    unguided = (t > UNGUIDED * steps) & (torch.rand(len(t), device=t.device) < 0.5)
    return torch.where(unguided[:, None, None, None], 1.0, masks)
