"""The denoising loop: frame 1 is the clean picture at every step, frames 2..F follow a schedule."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .flow_layers import FlowLayers
from .noise_process import NoiseProcess, Schedule
from .predictor import Predictor


@dataclass(frozen=True)
class Sampled:
    """Clips, as a run ends with them or as they are predicted on the way.

    Attributes:
        latents: (B, C, F, h, w) clean latents; frame 1 is the picture's, bit for bit.
        flow: (B, F, 2, H, W) pixels, the flow into frame 1 that the model has answered last, see `Answer`; None for
            models that answer none.
        layers: the same flow layer by layer, of each of the B clips; none from models that do not answer it so.
    """

    latents: Tensor
    flow: Tensor | None
    layers: Sequence[FlowLayers] = ()


StepCallback = Callable[[int, int, Sampled], None]
"""Called after each step with the step (from 1), the number of steps and the clips as predicted now."""


@torch.no_grad()
def sample(
    predictor: Predictor,
    process: NoiseProcess,
    schedule: Schedule,
    x1: Tensor,
    start: Tensor,
    *,
    generator: torch.Generator | None = None,
    callback: StepCallback | None = None,
) -> Sampled:
    """Denoise frames 2..F beside a clean first frame (MIVA, section 3.3; CFG is 1).

    Args:
        predictor: the model.
        process: the noise that the model was trained on.
        schedule: the steps; one from `prepare_scheduler` is used up by this call.
        x1: (B, C, 1, h, w) clean latent of the picture.
        start: (B, C, F, h, w) start latents; frame 1 is ignored.
        generator: for schedulers that add noise.
        callback: see `StepCallback`; an exception of its own ends the run.

    Returns:
        The clips, and the flow that the model answered at the last step.

    Example:
        >>> schedule = prepare_scheduler(base.scheduler, 25)
        >>> clip = sample(ModelPredictor.of(base), base.noise_process, schedule, x1, start).latents
    """
    centre, moving = process.centre(x1), start[:, :, 1:]
    flow, layers = None, list[FlowLayers]()
    steps = len(schedule.timesteps)
    draws = {"generator": generator} if "generator" in inspect.signature(schedule.step).parameters else {}
    for i, t in enumerate(schedule.timesteps):
        answer = predictor.predict(torch.cat([x1, moving + centre], dim=2), t, i)
        output, flow = answer.output[:, :, 1:], answer.flow
        layers = [answer.layers[k : k + 1] for k in range(len(x1))] if answer.layers else []
        clean = process.clean(output, moving, t) if callback else None
        moving = schedule.step(output, t, moving, **draws).prev_sample
        if callback and clean is not None:
            callback(i + 1, steps, Sampled(torch.cat([x1, clean + centre], dim=2), flow, layers))
    return Sampled(torch.cat([x1, moving + centre], dim=2), flow, layers)
