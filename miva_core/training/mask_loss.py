"""The training objective of a masked MIVA: its subject's clip and mask restored together (3.4, B.1.2)."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from ..attention.injection import Injection
from ..errors import MIVAError
from .denoiser import Denoiser, NoisedClips
from .draws import Draws
from .loss import clip_losses, rolled_out_noise, weigh_rolled_out


def ground_truth_share(step: int, steps: int) -> float:
    """The chance ½(1 + cos(π step / steps)) of guidance by the true masks: all at first, none in the end (B.1.2).

    Args:
        step: from 0.
        steps: of the training.
    """
    return 0.5 * (1 + math.cos(math.pi * step / steps))


def masked_losses(
    injection: Injection,
    denoiser: Denoiser,
    clips: NoisedClips,
    masks: Tensor,
    draws: Draws,
    read_out: Callable[[Tensor], Tensor],
) -> Tensor:
    """`clip_losses` of clips and of their mask sequences, guided by the true masks or by those the model predicts.

    The model first sees both at a noisier step. What it takes for the masks there guides it at step t, and some of the
    clips, with their masks, are brought to t by that very prediction, see `rolled_out_losses`.

    Args:
        injection: that of the k adapters that are trained, all with masks. Its mask streams and its guidance stay
            set for the backward pass.
        denoiser: the model that they are injected into.
        clips: (1 + k) B clips: B clips, then the mask sequences of one adapter after the other as pictures, white on
            black.
        masks: (k, B, F, h, w) in [0, 1], the true ones.
        draws: for the B clips.
        read_out: latents of the mask sequences (k B, C, F, h, w) to masks (k B, F, h, w), see `readout`.

    Returns:
        ((1 + k) B,) losses.

    Raises:
        MIVAError: there are adapters without a mask stream.
    """
    if len(injection.masked) != len(injection.weights):
        raise MIVAError("Masked adapters are trained by themselves: inject no adapter without a mask stream.")
    count, rows = len(draws.t), 1 + len(masks)
    t, noisier, rolled_out = (drawn.repeat(rows) for drawn in (draws.t, draws.noisier, draws.rolled_out))
    by_truth = draws.truth[:, None, None, None]
    injection.set_mask_streams(True)
    with torch.no_grad():
        # As before the first prediction, where no true masks may help.
        _guide(injection, torch.where(by_truth, masks, 1.0), draws.unguided[0])
        answer = denoiser.answer(clips, noisier)
        clean = denoiser.restored(answer, clips, noisier) + denoiser.process.centre(clips.latents[:, :, :1])
        proxy = read_out(clean[count:]).view_as(masks)
        proxy = torch.cat([masks[:, :, :1], proxy[:, :, 1:]], dim=2)
        _guide(injection, torch.where(by_truth, masks, proxy), draws.unguided[1])
        rolled = rolled_out_noise(denoiser, answer, clips, t, noisier)
        noise = torch.where(rolled_out[:, None, None, None, None], rolled, clips.noise)
    losses = clip_losses(denoiser, replace(clips, noise=noise), t)
    return weigh_rolled_out(denoiser, losses, t, rolled_out)


def flow_within(flow: Tensor, mask: Tensor) -> Tensor:
    """The flow of a clip as the picture of a mask shows it: trusted only on the subject, which the mask moves with.

    Args:
        flow: (B, F, 3, H, W) flow and trust, see `flow_errors`.
        mask: (B, F, h, w) in [0, 1].

    Returns:
        (B, F, 3, H, W) flow and trust.
    """
    within = F.interpolate(mask, flow.shape[-2:], mode="nearest") > 0.5
    return torch.cat([flow[:, :, :2], flow[:, :, 2:] * within[:, :, None]], dim=2)


def _guide(injection: Injection, masks: Tensor, unguided: Tensor) -> None:
    """Guides by masks (k, B, F, h, w), and the clips that go without by masks of ones, which say nothing."""
    masks = torch.where(unguided[:, None, None, None], 1.0, masks)
    injection.set_masks(dict(zip(injection.masked, masks, strict=True)))
