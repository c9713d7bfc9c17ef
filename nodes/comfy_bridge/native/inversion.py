"""Inversion with ComfyUI's own flow models: from a clip to the noise that Euler's method makes it of.

ComfyUI's FlipSigmas does not serve: at the end of its run samplers divide by 1 - sigma, which is 0 there.
"""

from __future__ import annotations

from typing import Any

import torch
from comfy.model_sampling import CONST
from comfy.samplers import CFGGuider, Sampler
from latent_preview import prepare_callback
from torch import Tensor

from ....miva_core.diffusion.inversion import invert
from ....miva_core.errors import MIVAError
from .host import kind_of


def check_model(model: Any) -> None:
    """Check that a MODEL is a flow model.

    Raises:
        MIVAError: it is not.
    """
    if not isinstance(model.get_model_object("model_sampling"), CONST):
        raise MIVAError(
            f"Inversion Noise goes back along the flow of a model such as Wan, but this MODEL is {kind_of(model)}, "
            "which has none: connect a flow model."
        )


def check_latent(model: Any, samples: Tensor) -> None:
    """Check that a latent holds what a MODEL makes.

    Args:
        model: the MODEL.
        samples: of the latent.

    Raises:
        MIVAError: it does not, with the reason.
    """
    if samples.is_nested:
        raise MIVAError("Inversion Noise goes back from video alone, but this latent has sound in it, too.")
    kind = model.get_model_object("latent_format")
    if samples.ndim != 2 + kind.latent_dimensions or samples.shape[1] != kind.latent_channels:
        raise MIVAError(
            f"`latent` has the shape {tuple(samples.shape)}, which is no latent of this model: connect VAE Encode with "
            "the VAE that belongs to the model."
        )
    if not samples.any():
        raise MIVAError("`latent` is empty: connect VAE Encode with the frames to go back from.")


def inverted_noise(model: Any, positive: list[Any], samples: Tensor, sigmas: Tensor, refine: int) -> Tensor:
    """Find the noise of which a sampler would make a clip.

    Args:
        model: a MODEL, see `check_model`.
        positive: CONDITIONING; it is asked without CFG.
        samples: latents as the VAE gives them, see `check_latent`.
        sigmas: (steps + 1,) of the sampler, see `invert`.
        refine: see `invert`.

    Returns:
        Like `samples`, on the CPU in float32.

    Raises:
        MIVAError: what was found is not finite.
    """
    guider, sampler = CFGGuider(model), _Inversion(refine)
    guider.inner_set_conds({"positive": positive})
    rising = sigmas.flip(0)
    preview = prepare_callback(model, len(sigmas) - 1)
    guider.sample(torch.zeros_like(samples), samples, sampler, rising, callback=preview, disable_pbar=True, seed=0)
    if not sampler.noise.isfinite().all():
        raise MIVAError(
            "The model answers NaN or infinite numbers on the way back from this latent: connect VAE Encode with the "
            "VAE that belongs to the model, or load the model with another weight_dtype."
        )
    return sampler.noise


class _Inversion(Sampler):
    """A SAMPLER that goes from clean latents up to noise, and keeps what it has found.

    Attributes:
        noise: that its run has found.
    """

    noise: Tensor

    def __init__(self, refine: int) -> None:
        self._refine = refine

    def sample(
        self,
        model_wrap: Any,
        sigmas: Tensor,
        extra_args: dict[str, Any],
        callback: Any,
        noise: Tensor,
        latent_image: Tensor,
        denoise_mask: None = None,
        disable_pbar: bool = True,
    ) -> Tensor:
        """See ComfyUI's own; `sigmas` rise, and neither noise nor mask counts."""
        levels = sigmas.tolist()

        def velocity(x: Tensor, sigma: float) -> Tensor:
            clean = model_wrap(x, x.new_full((len(x),), sigma), **extra_args)
            # ComfyUI raises the user's stop in it.
            callback(levels.index(sigma) - 1, clean, x, len(levels) - 1)
            return (x - clean) / sigma

        noisy = invert(velocity, latent_image, levels[::-1], self._refine)
        sampling = model_wrap.inner_model.model_sampling
        self.noise = _noise_in(sampling, noisy, latent_image, sigmas[-1]).float().cpu()
        return noisy


def _noise_in(sampling: Any, noisy: Tensor, clean: Tensor, sigma: Tensor) -> Tensor:
    """The noise that a MODEL's `model_sampling` would make these noisy latents of."""
    nothing = torch.zeros_like(clean)
    offset, scale = (sampling.noise_scaling(sigma, *of) for of in ((nothing, clean), (nothing + 1, nothing)))
    noise: Tensor = (noisy - offset) / scale
    return noise
