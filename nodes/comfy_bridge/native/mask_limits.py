"""Runs that masked motions cannot be made in: refused before the first step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....miva_core.errors import MIVAError


def check_masked_run(begins: bool, model_options: Mapping[str, Any], frames: int) -> None:
    """Check that masks can be made in a sampling call.

    Args:
        begins: whether it begins with noise alone.
        model_options: of the call.
        frames: latent frames of the clip.

    Raises:
        MIVAError: they cannot.
    """
    if not begins:
        raise MIVAError(
            "Masked motions need one sampler for all steps, from the empty `latent` of Apply MIVA and full noise on: "
            "set `denoise` to 1, and do not divide the steps between two samplers."
        )
    # None of ComfyUI's own, which say how long their windows are, where the clip fits into one.
    if frames > getattr(model_options.get("context_handler"), "context_length", frames):
        raise windows_with_masks()


def windows_with_masks() -> MIVAError:
    """Say that masks span the whole clip."""
    return MIVAError(
        "Masked motions cannot be made in context windows: take the node out that makes the windows, or make a shorter "
        "clip."
    )
