"""The training objective of a masked MIVA: its subject's clip and mask restored together (3.4, B.1.2)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from .errors import MIVAError
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

    The model first sees both at a noisier step. What it takes for the masks there guides it at step t, and a share of
    the clips, with their masks, is brought to t by that very prediction, see `rolled_out_losses`. It is for models
    whose noise is centred on the first frame, as there.

    Args:
        miva: the injection of the k adapters that are trained, all with masks. It is told of mask streams and guidance,
            which stay set for the backward pass.
        text: (B, W, D) caption embeddings.
        latents: ((1 + k) B, C, F, h, w): clips, then the mask sequences of one adapter after the other as pictures,
            white on black. noise: the same shape.
        t: (B,) steps, indices of `alphas_cumprod`.
        masks: (k, B, F, h, w) in [0, 1], the true ones.
        weights: (B, F, h, w) of the places, see `place_weights`.
        read_out: latents of the mask sequences (k B, C, F, h, w) to masks (k B, F, h, w), see `readout`.
        truth: chance of guidance by the true masks, see `ground_truth_share`.
        rolled_out: share of the clips.

    Returns:
        ((1 + k) B,) losses.

    Raises:
        MIVAError: there are adapters without a mask stream.
    """
    if len(miva.masked) != len(miva.weights):
        raise MIVAError("Masked adapters are trained by themselves: inject no adapter without a mask stream.")
    count, steps, rows = len(t), len(alphas_cumprod), 1 + len(masks)
    later = later_steps(t, steps)
    text, all_t, all_later = text.repeat(rows, 1, 1), t.repeat(rows), later.repeat(rows)
    miva.set_mask_streams(True)
    is_true = torch.rand(count, device=t.device) < truth
    with torch.no_grad():
        # As before the first prediction, where no true masks may help.
        _guide(miva, torch.where(is_true[:, None, None, None], masks, 1.0), later, steps)
        predicted = predict_motion(model, text, latents, noise, all_later, alphas_cumprod)
        proxy = read_out((latents[:, :, :1] + predicted)[count:]).view_as(masks)
        proxy = torch.cat([masks[:, :, :1], proxy[:, :, 1:]], dim=2)
        _guide(miva, torch.where(is_true[:, None, None, None], masks, proxy), t, steps)
        own = (torch.rand(count, device=t.device) < rolled_out).repeat(rows)
        rolled = rolled_out_noise(predicted, latents, noise, all_t, all_later, alphas_cumprod)
        noise = torch.where(own[:, None, None, None, None], rolled, noise)
    losses = clip_losses(model, text, latents, noise, all_t, alphas_cumprod, weights.repeat(rows, 1, 1, 1))
    return torch.where(own, losses * (1 - alphas_cumprod[all_t]), losses)


def _guide(miva: Injection, masks: Tensor, t: Tensor, steps: int) -> None:
    """Guides by masks (k, B, F, h, w); half of the clips at early steps by masks of ones, which say nothing."""
    unguided = (t > UNGUIDED * steps) & (torch.rand(len(t), device=t.device) < 0.5)
    masks = torch.where(unguided[:, None, None, None], 1.0, masks)
    miva.set_masks(dict(zip(miva.masked, masks, strict=True)))
