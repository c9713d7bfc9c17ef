"""The files that Stable Diffusion 1.5 with AnimateDiff is loaded from: what they must be, and what a file says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ...errors import MIVAError
from ...storage.weights import identify_weights, open_weights

CHECKPOINT = "a Stable Diffusion 1.5 checkpoint"
MOTION = "an AnimateDiff motion module"
VAE = "a VAE"
WHERE = {
    CHECKPOINT: "such as v1-5-pruned-emaonly.safetensors from huggingface.co/stable-diffusion-v1-5",
    MOTION: "such as v3_sd15_mm.ckpt from huggingface.co/guoyww/animatediff",
    VAE: "such as vae-ft-mse-840000-ema-pruned.safetensors from huggingface.co/stabilityai",
}

_LONGEST = 1024
"""Frames; released motion modules reach 16 to 64."""


def check_kind(tensors: Mapping[str, Tensor], path: str | os.PathLike[str], wanted: str) -> None:
    """Check what a file is.

    Args:
        tensors: of the file.
        path: of the file, for the message.
        wanted: a key of `WHERE`.

    Raises:
        MIVAError: it is something else; the message says what.
    """
    kind = identify_weights(tensors)
    if kind != wanted:
        raise MIVAError(f"{path} is {kind}, but {wanted} was expected, {WHERE[wanted]}.")


def open_motion_module(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Open the tensors of a motion module by their names in the file, see `storage.weights.open_weights`.

    Args:
        path: AnimateDiff v1, v2 or v3, by AnimateDiff's names or those of diffusers.

    Raises:
        MIVAError: the file is missing, damaged or something else; the message says what it is.
    """
    tensors = open_weights(path, "motion module of AnimateDiff")
    check_kind(tensors, path, MOTION)
    return tensors


@dataclass(frozen=True)
class MotionLayout:
    """What differs between versions: v1 reaches 24 frames, v2 has a middle block, v3 reaches 32 without one.

    Args:
        frames: how many the positional encodings reach.
        middle: whether there is a motion module in the middle of the U-Net.
    """

    frames: int
    middle: bool

    @property
    def pools_frames(self) -> bool:
        """Whether it was trained with ResNets that normalise all frames of a clip together, as v1 alone was."""
        return self.frames == 24 and not self.middle


def motion_layout(tensors: Mapping[str, Tensor]) -> MotionLayout:
    """Read off which version a motion module is.

    Args:
        tensors: of the file, by name.

    Raises:
        MIVAError: it has no positional encodings, or some of different lengths.
    """
    positions = [tensor.shape[1] for name, tensor in tensors.items() if name.endswith(".pe") and tensor.ndim == 3]
    if len(set(positions)) != 1 or not 2 <= positions[0] <= _LONGEST:
        raise MIVAError("The motion module lacks positional encodings of one length: it is damaged, get it again.")
    return MotionLayout(positions[0], any(name.startswith("mid_block.") for name in tensors))
