"""The mask of a first frame, ready for runs on one of ComfyUI's own models."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from ....miva_core.animation.readout import fit_readout
from .plan import PlannedMask


def prepare_mask(model: Any, encode: Callable[[Tensor], Tensor], mask: Tensor) -> PlannedMask:
    """Prepare a mask as it is denoised, and how masks are read off latents of it.

    Args:
        model: MODEL that denoises it.
        encode: by the model's VAE, from a picture (H, W, 3) in [0, 1] to its latent (1, C, 1, h, w), not scaled for the
            model.
        mask: (H, W) in [0, 1] at the size of the clip, from `fit_masks`.
    """
    scaled: Callable[[Tensor], Tensor] = model.get_model_object("latent_format").process_in
    x1 = encode(mask[..., None].expand(-1, -1, 3))
    readout = fit_readout(lambda picture: scaled(encode(picture)), scaled(x1), mask)
    return PlannedMask(mask, x1, readout)
