"""Runs that masked motions cannot be made in: refused before the first step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from ....miva_core.errors import MIVAError

_LATEST = 0.3
"""Share of the noise schedule within which a run of an empty latent begins; some schedules of few steps begin late."""


def check_masked_run(guider: Any, latent: Tensor, sigmas: Tensor, frames: int) -> None:
    """Check that masks can be made in a sampling call.

    Args:
        guider: makes the call.
        latent: that it starts from, in the layout of the MODEL.
        sigmas: noise levels of its steps.
        frames: latent frames of the clip.

    Raises:
        MIVAError: they cannot.
    """
    if not _starts_full(guider.model_patcher.get_model_object("model_sampling"), latent, float(sigmas[0])):
        raise MIVAError(
            "Masked motions need one sampler for the whole run, which starts from the empty `latent` of Apply MIVA at "
            "full noise: set `denoise` to 1, let KSampler Advanced start at step 0, and do not split the steps between "
            "two samplers."
        )
    if frames > getattr(guider.model_options.get("context_handler"), "context_length", frames):
        raise windows_with_masks()
    if any(map(_has_area, _conditions(guider.conds))):
        raise MIVAError(
            "Masked motions cannot be made with prompts for areas of the picture: take Conditioning (Set Area) out, or "
            "use Conditioning (Set Mask) in its place."
        )


def windows_with_masks() -> MIVAError:
    """Say that masks span the whole clip."""
    return MIVAError(
        "Masked motions cannot be made in context windows: take the node out that makes the windows, or make a shorter "
        "clip."
    )


def _starts_full(sampling: Any, latent: Tensor, sigma: float) -> bool:
    """Whether a run starts from noise alone."""
    if sigma >= float(sampling.sigma_max) * (1 - 1e-4):
        return True
    return not latent.any() and sigma >= sampling.percent_to_sigma(_LATEST)


def _conditions(conds: Mapping[str, Iterable[Mapping[str, Any]]]) -> list[Mapping[str, Any]]:
    return [condition for of_one_kind in conds.values() for condition in of_one_kind]


def _has_area(condition: Mapping[str, Any]) -> bool:
    return condition.get("area") is not None or bool(condition.get("set_area_to_bounds"))
