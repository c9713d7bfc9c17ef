"""Sampling as ComfyUI's nodes do it, what the network sees meanwhile, and how far results are from each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import comfy.sample
import comfy.samplers
import torch
from comfy_extras.nodes_custom_sampler import CFGGuider, Guider_Basic, Noise_RandomNoise, SamplerCustomAdvanced
from torch import Tensor, nn

import nodes

Conditioning = list[Any]


def no_text(words: int = 1, width: int = 4096) -> Conditioning:
    """CONDITIONING of zeros: (1, 1, 4096) for Wan; give 77 and 768 for Stable Diffusion 1.5."""
    return [[torch.zeros(1, words, width), {}]]


def text(seed: int, words: int = 7, width: int = 4096) -> Conditioning:
    """CONDITIONING of a random text (1, words, width)."""
    return [[torch.randn(1, words, width, generator=torch.Generator().manual_seed(seed)), {}]]


def error(got: Tensor, expected: Tensor) -> float:
    """The largest difference as a share of the largest value expected."""
    assert got.shape == expected.shape, (got.shape, expected.shape)
    return ((got.float() - expected.float()).abs().max() / expected.float().abs().max()).item()


def sigmas(model: Any, steps: int, scheduler: str = "simple", denoise: float = 1.0) -> Tensor:
    """Noise levels (steps + 1,) of a MODEL, as KSampler takes them."""
    return comfy.samplers.KSampler(model, steps, torch.device("cpu"), "euler", scheduler, denoise).sigmas


def sample(
    model: Any,
    latent: Tensor,
    positive: Conditioning,
    negative: Conditioning | None = None,
    *,
    steps: int | Tensor = 4,
    sampler: str = "euler",
    cfg: float = 1.0,
    noise: Tensor | None = None,
    seed: int = 5,
    callback: Callable[..., None] | None = None,
) -> Tensor:
    """A run of `comfy.sample.sample_custom`; latents go in and come out in the VAE's scale.

    Args:
        latent: (b, C, F, h, w), or (frames, C, h, w) for a U-Net; zeros where nothing is given.
        steps: of the scheduler `simple`, or the noise levels themselves.
        noise: the start noise; None: ComfyUI's own by the seed.
        callback: f(step, x0, x, steps), as of previews; x0 in the model's scale.
    """
    levels = steps.clone() if isinstance(steps, Tensor) else sigmas(model, steps)
    start = comfy.sample.prepare_noise(latent, seed) if noise is None else noise
    return comfy.sample.sample_custom(
        *(model, start, cfg, comfy.samplers.sampler_object(sampler), levels, positive),
        *(positive if negative is None else negative, latent),
        callback=callback,
        disable_pbar=True,
        seed=seed,
    )


def ksampler(model: Any, latent: dict[str, Any], positive: Conditioning, **settings: Any) -> dict[str, Any]:
    """A LATENT from the node KSampler: seed 5, 4 steps, CFG 1, euler, simple, denoise 1 where not given."""
    defaults = {"seed": 5, "steps": 4, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0}
    settings = {"negative": positive} | defaults | settings
    return nodes.KSampler().sample(model=model, latent_image=latent, positive=positive, **settings)[0]


def sampler_custom_advanced(
    model: Any,
    latent: dict[str, Any],
    positive: Conditioning,
    negative: Conditioning | None = None,
    *,
    noise: Any = None,
    cfg: float = 1.0,
    sampler: str = "euler",
    levels: Tensor | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both LATENTs of the node SamplerCustomAdvanced.

    Args:
        negative: with it the guider is CFGGuider, else BasicGuider.
        noise: NOISE; None: RandomNoise of seed 5. levels: noise levels; None: 4 steps.
    """
    guider = Guider_Basic(model) if negative is None else CFGGuider.execute(model, positive, negative, cfg)[0]
    if negative is None:
        guider.set_conds(positive)
    levels = sigmas(model, 4) if levels is None else levels
    sampler_object = comfy.samplers.sampler_object(sampler)
    ran = SamplerCustomAdvanced.execute(noise or Noise_RandomNoise(5), guider, sampler_object, levels, latent)
    return ran[0], ran[1]


@dataclass
class Seen:
    """What the network got and gave, call by call, innermost of all wrappers.

    Attributes:
        x: its input, in the model's scale, already divided where a U-Net wants it so; with mask rows.
        timestep: (rows,), 0 to 1000. output: what it gave. options: transformer_options of the call.
    """

    x: list[Tensor] = field(default_factory=list)
    timestep: list[Tensor] = field(default_factory=list)
    context: list[Tensor] = field(default_factory=list)
    output: list[Tensor] = field(default_factory=list)
    options: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def seeing(model: Any) -> Iterator[Seen]:
    """Records every call of the network in a MODEL, until the end of the with block.

    It listens to the network's own inner call, so no wrapper of the MODEL comes after it.
    """
    net, seen = model.get_model_object("diffusion_model"), Seen()
    inner = net._forward

    def forward(x: Tensor, timestep: Tensor, context: Tensor | None = None, *args: Any, **kwargs: Any) -> Tensor:
        output = inner(x, timestep, context, *args, **kwargs)
        for kept, value in ((seen.x, x), (seen.timestep, timestep), (seen.context, context), (seen.output, output)):
            kept.append(value.clone())
        seen.options.append(kwargs.get("transformer_options") or next(a for a in args[::-1] if isinstance(a, dict)))
        return output

    net.__dict__["_forward"] = forward
    try:
        yield seen
    finally:
        del net.__dict__["_forward"]


def overridden(net: nn.Module) -> list[str]:
    """Names of what has been set on modules over a method of their class, such as "blocks.0.self_attn.forward"."""
    return [
        f"{name}.{key}"
        for name, module in net.named_modules()
        for key, value in vars(module).items()
        if callable(value) and callable(getattr(type(module), key, None))
    ]
