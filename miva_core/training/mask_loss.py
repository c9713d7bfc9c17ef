"""The training objective of a masked MIVA: its subject's clip and mask restored together (3.4, B.1.2)."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ..attention.injection import Injection
from ..errors import MIVAError
from .denoiser import Denoiser
from .loss import clip_losses, own_weight, rolled_out_noise


def ground_truth_share(step: int, steps: int) -> float:
    """The chance ½(1 + cos(π step / steps)) of guidance by the true masks: all at first, none in the end (B.1.2)."""
    return 0.5 * (1 + math.cos(math.pi * step / steps))


def masked_losses(
    miva: Injection,
    denoiser: Denoiser,
    text: Tensor | None,
    latents: Tensor,
    noise: Tensor,
    t: Tensor,
    later: Tensor,
    own: Tensor,
    masks: Tensor,
    weights: Tensor,
    *,
    read_out: Callable[[Tensor], Tensor],
    truth: Tensor,
    unguided: Tensor,
    flow: Tensor | None = None,
) -> Tensor:
    """`clip_losses` of clips and of their mask sequences, guided by the true masks or by those the model predicts.

    The model first sees both at a noisier step. What it takes for the masks there guides it at step t, and some of the
    clips, with their masks, are brought to t by that very prediction, see `rolled_out_losses`.

    Args:
        miva: the injection of the k adapters that are trained, all with masks. It is told of mask streams and guidance,
            which stay set for the backward pass.
        text: (B, W, D) caption embeddings, None for models that run without.
        latents: ((1 + k) B, C, F, h, w): clips, then the mask sequences of one adapter after the other as pictures,
            white on black. noise: the same shape.
        t: (B,) steps. later: (B,) the noisier ones. own: (B,) bool, which clips are rolled out.
        masks: (k, B, F, h, w) in [0, 1], the true ones.
        weights: (B, F, h, w) of the places, see `place_weights`.
        read_out: latents of the mask sequences (k B, C, F, h, w) to masks (k B, F, h, w), see `readout`.
        truth: (B,) bool, which clips are guided by the true masks, see `ground_truth_share`.
        unguided: (2, B) bool, which go without guidance at the noisier step and at t, as all do before the first mask
            is known.
        flow: (B, F, 3, H, W) of the clips, flow and trust, for models that predict one, see `flow_errors`; masks move
            as their subjects do.

    Returns:
        ((1 + k) B,) losses.

    Raises:
        MIVAError: there are adapters without a mask stream.
    """
    if len(miva.masked) != len(miva.weights):
        raise MIVAError("Masked adapters are trained by themselves: inject no adapter without a mask stream.")
    count, rows = len(t), 1 + len(masks)
    text = text if text is None else text.repeat(rows, 1, 1)
    all_t, all_later, all_own = t.repeat(rows), later.repeat(rows), own.repeat(rows)
    miva.set_mask_streams(True)
    with torch.no_grad():
        # As before the first prediction, where no true masks may help.
        _guide(miva, torch.where(truth[:, None, None, None], masks, 1.0), unguided[0])
        answer = denoiser.answer(text, latents, noise, all_later)
        restored = denoiser.restored(answer, latents, noise, all_later)
        clean = restored + latents[:, :, :1] if denoiser.centred else restored
        proxy = read_out(clean[count:]).view_as(masks)
        proxy = torch.cat([masks[:, :, :1], proxy[:, :, 1:]], dim=2)
        _guide(miva, torch.where(truth[:, None, None, None], masks, proxy), unguided[1])
        rolled = rolled_out_noise(denoiser, answer, latents, noise, all_t, all_later)
        noise = torch.where(all_own[:, None, None, None, None], rolled, noise)
    flow = None if flow is None else torch.cat([flow, *(_flow_within(flow, mask) for mask in masks)])
    losses = clip_losses(denoiser, text, latents, noise, all_t, weights.repeat(rows, 1, 1, 1), flow)
    return own_weight(denoiser, losses, all_t, all_own)


def _flow_within(flow: Tensor, mask: Tensor) -> Tensor:
    """Flow and trust (B, F, 3, H, W), trusted only on a subject: what the picture of a mask shows of the flow.

    Args:
        mask: (B, F, h, w) in [0, 1].
    """
    within = F.interpolate(mask, flow.shape[-2:], mode="nearest") > 0.5
    return torch.cat([flow[:, :, :2], flow[:, :, 2:] * within[:, :, None]], dim=2)


def _guide(miva: Injection, masks: Tensor, unguided: Tensor) -> None:
    """Guides by masks (k, B, F, h, w), and the clips that go without by masks of ones, which say nothing."""
    masks = torch.where(unguided[:, None, None, None], 1.0, masks)
    miva.set_masks(dict(zip(miva.masked, masks, strict=True)))
