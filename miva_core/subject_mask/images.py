"""Prepare pictures and clips for the models that find subjects in them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from einops import rearrange
from torch import Tensor

from ..media.pixel_values import frame_batch, to_bytes

if TYPE_CHECKING:
    from transformers import BaseImageProcessor

_GREY = 0.5


def check_images(images: Any) -> Tensor:
    """Check frames in which subjects are looked for.

    What is transparent becomes mid grey, so that a colour nobody sees is not found.

    Args:
        images: (F, H, W, C) float in [0, 1], see `frame_batch`.

    Returns:
        (F, H, W, 3) float32 on the CPU in [0, 1].

    Raises:
        MIVAError: as from `frame_batch`.
    """
    frames = frame_batch(images, "The image")
    if frames.shape[-1] in (2, 4):
        alpha = frames[..., -1:]
        frames = frames[..., :-1] * alpha + _GREY * (1 - alpha)
    return frames.expand(*frames.shape[:3], 3)


def to_planes(picture: Tensor) -> Tensor:
    """Convert a picture (H, W, 3) in [0, 1] to uint8 (3, H, W), the input of the models' image processors."""
    return rearrange(to_bytes(picture), "h w c -> c h w")


def image_processor(model: str, name: str) -> "type[BaseImageProcessor]":
    """Find the class in transformers that prepares pictures for a model, working on tensors.

    Older releases have a slow one of that name and call this one "Fast"; newer ones warn of the suffix.

    Args:
        model: name of the model's folder in transformers.
        name: of the class, without "Fast".
    """
    import transformers

    folder = Path(transformers.__file__).parent / "models" / model
    fast = "Fast" if (folder / f"image_processing_{model}_fast.py").is_file() else ""
    return getattr(transformers, name + fast)
