"""Clips of a MiraMo: differences from frame 1, made from noise by a solver for flows.

MiraMo denoises the residuals r = z - z^1 of later frames, and is shown z^1 + r. Since z^1 + (1 - t) r + t eps =
(1 - t) z + t (z^1 + eps), that is flow matching whose noise is centred on frame 1, see `NoiseProcess`.

Source: MiraMo, arXiv 2508.07246.
"""

import torch
from diffusers import DPMSolverMultistepScheduler
from torch import Tensor

from ...diffusion.init_noise import dct_init
from ...diffusion.loop import sample
from ...diffusion.noise_process import NoiseProcess, Scheduler
from ...diffusion.predictor import Predictor
from ...diffusion.schedulers import SettableScheduler, prepare_scheduler

SHIFT = 3.0
"""Of the noise levels, as SANA was trained."""
PICTURE = 0.0085
"""Share of the picture in the low band of the noise: at t = 975 of 1000, shifted by 3."""


def flow_dpm(shift: float = SHIFT) -> DPMSolverMultistepScheduler:
    """SANA's solver, Flow-DPM: DPM-Solver++ of second order over the noise levels of a flow.

    Args:
        shift: of the noise levels, see `NoiseProcess.steps_at`.
    """
    return DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift)


def residual_process(scheduler: Scheduler | None = None) -> NoiseProcess:
    """The noise that a MiraMo is trained on: a flow of residuals, whose steps are drawn logit-normally and shifted.

    Args:
        scheduler: any of diffusers for flows, of the levels that the model was trained on; None for `flow_dpm`.
    """
    return NoiseProcess(flow_dpm() if scheduler is None else scheduler, centred=True, drawn="logit-normal")


def sample_clip(
    predictor: Predictor,
    x1: Tensor,
    frames: int,
    generator: torch.Generator,
    *,
    scheduler: SettableScheduler | None = None,
    steps: int = 25,
    picture: float = PICTURE,
) -> Tensor:
    """Make clips that begin with a picture.

    The low band of the start noise gets a share of the picture itself (MiraMo, Eq. 10 to 12, as in the code of Cinemo),
    though the noise is that of differences from it. `animate` gives DCTInit what noise is added to: on a centred base
    the difference of the picture from itself, which is nothing, since such noise lies around the picture anyway.

    Args:
        predictor: a `MiraMoPredictor`, or two of them in `ClassifierFree`.
        x1: (B, C, 1, h, w) latent of the picture.
        frames: F, that of the picture among them.
        generator: on the CPU.
        scheduler: any of diffusers for flows, of the levels that the model was trained on; None for `flow_dpm`.
        steps: of denoising.
        picture: share of the picture in the low band of the start noise (DCTInit); 0 for plain noise.

    Returns:
        (B, C, F, h, w) latents; frame 1 is `x1`, bit for bit.

    Raises:
        MIVAError: the scheduler cannot make so many steps, or would alter frame 1.
    """
    chosen = flow_dpm() if scheduler is None else scheduler
    noise = torch.randn(*x1.shape[:2], frames, *x1.shape[3:], generator=generator)
    if picture:
        noise = dct_init(x1.float().cpu(), noise, strength=picture, sigma=1 - picture)
    schedule = prepare_scheduler(chosen, steps)
    return sample(predictor, residual_process(chosen), schedule, x1, noise.to(x1), generator=generator).latents
