"""The denoising loop: frame 1 is the clean picture at every step, frames 2..F follow any diffusers scheduler."""

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..checks import printable
from ..errors import MIVAError

if TYPE_CHECKING:
    from ..animation.mask_stream import MaskStreams

StepCallback = Callable[[int, int, Tensor], None]
"""Called after each step with the step (from 1), the number of steps and the clip as predicted now, (B, C, F, h, w)."""


def prepare_scheduler(scheduler: Any, steps: int) -> Any:
    """A copy of a scheduler set to `steps`, if clips with a clean first frame can be sampled by it.

    Raises:
        MIVAError: `steps` is out of range; the scheduler scales its input or its start noise (sigma-space schedulers
            such as EulerDiscrete would rescale the clean frame); or it clips what it predicts.
    """
    name = type(scheduler).__name__
    limit = scheduler.config.num_train_timesteps
    check_steps(steps, limit)
    scheduler = copy.deepcopy(scheduler)
    try:
        scheduler.set_timesteps(steps)
    except ValueError as error:
        raise MIVAError(f"{name} cannot make {steps} steps: {error}.") from error
    if hasattr(scheduler, "alphas_cumprod") and scheduler.timesteps.max() >= limit:
        raise MIVAError(f"{name} cannot make {steps} steps: its first would be beyond its training; take fewer.")
    if float(getattr(scheduler, "init_noise_sigma", 1.0)) != 1.0 or _scales_input(scheduler):
        raise MIVAError(
            f"{name} rescales its input, which would alter the clean first frame; use DDIM, DPM++ or UniPC."
        )
    if scheduler.config.get("thresholding"):
        raise MIVAError(f"{name} clips by a quantile over all frames; switch its thresholding off.")
    if scheduler.config.get("clip_sample"):
        raise MIVAError(f"{name} clips latents to a range they leave; set clip_sample=False.")
    return scheduler


def check_steps(steps: int, limit: int) -> None:
    """Check how many denoising steps are asked for.

    Raises:
        MIVAError: they are out of range.
    """
    if isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= limit:
        raise MIVAError(f"steps is {steps!r}, but it must be a whole number from 1 to {limit}.")


def check_same_noise(scheduler: Any, own: Any) -> None:
    """Check that a scheduler speaks of the noise that a base was trained on, as the base's own scheduler does.

    Raises:
        MIVAError: the two expect another prediction (noise, velocity, picture), or other noise levels.
    """
    differing = _prediction(scheduler) != _prediction(own)
    if not differing and hasattr(own, "alphas_cumprod"):
        levels, own_levels = scheduler.alphas_cumprod.cpu(), own.alphas_cumprod.cpu()
        differing = levels.shape != own_levels.shape or not torch.allclose(levels, own_levels, atol=1e-5)
    if differing:
        name = type(scheduler).__name__
        raise MIVAError(
            f"This {name} is set for a model that predicts {_prediction(scheduler)} over its own noise levels, not for "
            f"this base; make it by {name}.from_config(base.scheduler.config)."
        )


def _prediction(scheduler: Any) -> str:
    if not hasattr(scheduler, "alphas_cumprod"):
        return "flow_prediction"
    return scheduler.config.get("prediction_type", "epsilon")


def _scales_input(scheduler: Any) -> bool:
    if not hasattr(scheduler, "scale_model_input"):
        return False
    probe = torch.ones(1)
    # The scale is remembered by step index, so a copy is asked.
    return not torch.equal(copy.deepcopy(scheduler).scale_model_input(probe, scheduler.timesteps[0]), probe)


def noise_level(scheduler: Any, t: Tensor) -> tuple[Tensor, Tensor]:
    """alpha and sigma of a step: noisy latents are alpha x_0 + sigma eps."""
    if is_flow(scheduler):
        sigma = t / scheduler.config.num_train_timesteps
        return 1 - sigma, sigma
    alpha_bar = scheduler.alphas_cumprod[t.long().cpu()]
    return alpha_bar.sqrt(), (1 - alpha_bar).sqrt()


def is_flow(scheduler: Any) -> bool:
    """Whether a scheduler is one of flow matching, where noisy latents are (1 - sigma) x_0 + sigma eps."""
    return not hasattr(scheduler, "alphas_cumprod") or scheduler.config.prediction_type == "flow_prediction"


def predict_clean(scheduler: Any, output: Tensor, noisy: Tensor, t: Tensor) -> Tensor:
    """The model's present guess of the clean latents, x_0.

    Args:
        output: what the model returned for `noisy` at step `t`: noise, velocity, x_0 or (flow matching) velocity.

    Returns:
        Tensor like `noisy`.
    """
    alpha, sigma = (level.to(noisy) for level in noise_level(scheduler, t))
    if is_flow(scheduler):
        return noisy - sigma * output
    if scheduler.config.prediction_type == "sample":
        return output
    if scheduler.config.prediction_type == "v_prediction":
        return alpha * noisy - sigma * output
    return (noisy - sigma * output) / alpha


@torch.no_grad()
def sample(
    model: nn.Module,
    scheduler: Any,
    x1: Tensor,
    start: Tensor,
    *,
    text: Tensor | None = None,
    text_per_frame: bool = True,
    centred: bool = False,
    dtype: torch.dtype | None = None,
    generator: torch.Generator | None = None,
    before_step: Callable[[float], None] | None = None,
    masks: "MaskStreams | None" = None,
    callback: StepCallback | None = None,
    motions: Sequence[str] = (),
) -> Tensor:
    """Denoise frames 2..F beside a clean first frame (MIVA, section 3.3; CFG is 1).

    Args:
        scheduler: from `prepare_scheduler`; it is used up by this call.
        x1: (B, C, 1, h, w) clean latent of the picture.
        start: (B, C, F, h, w) start latents; frame 1 is ignored.
        text: (1, W, D) caption embedding.
        text_per_frame: whether every frame of a clip gets its own copy of it, as in U-Nets, or the clip one.
        centred: the model's noise is centred on `x1`, and the scheduler works on differences to it.
        dtype: what the model computes in, where that is not the latents' own.
        generator: for schedulers that add noise.
        before_step: called before each step with the share of the steps that is done, in [0, 1).
        masks: mask sequences that some steps carry beside the clip, of which there is one (B = 1) then.
        callback: see `StepCallback`; an exception of its own ends the run.
        motions: names of those at work, for the message.

    Returns:
        (B, C, F, h, w); frame 1 is `x1`, bit for bit.

    Raises:
        MIVAError: the model returned NaN or infinite values.
    """
    centre = x1 if centred else torch.zeros_like(x1)
    moving = start[:, :, 1:]
    copies = start.shape[2] if text_per_frame else 1
    draws = {"generator": generator} if "generator" in inspect.signature(scheduler.step).parameters else {}
    for i, t in enumerate(scheduler.timesteps):
        if before_step:
            before_step(i / len(scheduler.timesteps))
        clips = torch.cat([x1, moving + centre], dim=2)
        beside = masks.latents(i) if masks else None
        rows = clips if beside is None else torch.cat([clips, beside])
        words = None if text is None else text.to(x1.device, dtype or x1.dtype).expand(len(rows) * copies, -1, -1)
        # Apple's graphics cards know no float64, which noise levels are computed in.
        told = t.to(x1) if t.is_floating_point() else t.to(x1.device)
        output = model(rows.to(dtype or x1.dtype), told.expand(len(rows)), encoder_hidden_states=words)
        output = output.sample.to(x1)
        _check_output(output, i + 1, motions)
        if beside is not None:
            masks.advance(output[len(clips) :])
        output = output[: len(clips), :, 1:]
        clean = predict_clean(scheduler, output, moving, t) if callback else None
        moving = scheduler.step(output, t, moving, **draws).prev_sample
        if callback:
            callback(i + 1, len(scheduler.timesteps), torch.cat([x1, clean + centre], dim=2))
    return torch.cat([x1, moving + centre], dim=2)


def _check_output(output: Tensor, step: int, motions: Sequence[str]) -> None:
    if not output.isfinite().all():
        blamed = f" with {', '.join(printable(name) for name in motions)}" if motions else ""
        raise MIVAError(
            f"The clip became NaN or infinite at step {step}{blamed}: take weights nearer to 1, and if it stays so, "
            "get or train the motion again, since values of its file are too large."
        )
