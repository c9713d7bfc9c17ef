"""Runs that masked motions cannot be made in: refused before the first step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....miva_core.errors import MIVAError


def check_masked_run(whole: bool, model_options: Mapping[str, Any], clips: int, frames: int) -> None:
    """Check that masks can be made in a sampling call.

    Args:
        whole: whether it begins with noise alone and ends without any.
        model_options: of the call.
        clips: that it makes at once.
        frames: latent frames of each.

    Raises:
        MIVAError: they cannot.
    """
    if not whole:
        raise MIVAError(
            "Masked motions need one sampler for all steps, from the empty `latent` of Apply MIVA and full noise on: "
            "set `denoise` to 1, and do not divide the steps between two samplers."
        )
    if clips > 1:
        raise MIVAError(
            f"Masked motions make one clip at a time, but this latent is a batch of {clips}: connect the `latent` of "
            "Apply MIVA itself, and queue the workflow once for each clip."
        )
    # ComfyUI's own windows are none where the clip fits into one; others are found at the first step.
    if frames > getattr(model_options.get("context_handler"), "context_length", frames):
        raise windows_with_masks()


def references_with_masks() -> MIVAError:
    """Say that masks tell nothing of what stands beside the clip."""
    return MIVAError(
        "Masked motions cannot be made by a model that sees reference pictures beside the clip: take these out, or use "
        "a text-to-video model."
    )


def windows_with_masks() -> MIVAError:
    """Say that masks span the whole clip."""
    return MIVAError(
        "Masked motions cannot be made in context windows: take the node out that makes the windows, or make a shorter "
        "clip."
    )
