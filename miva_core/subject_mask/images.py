"""The pictures and clips in which subjects are looked for."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from einops import rearrange
from torch import Tensor

from ..errors import MIVAError
from ..pictures import MIN_SIDE, told_size

if TYPE_CHECKING:
    from transformers import BaseImageProcessor

_GREY = 0.5
_SLACK = 0.01


def check_images(images: Any) -> Tensor:
    """Frames (F, H, W, 3) float32 on the CPU in [0, 1].

    What is transparent becomes mid grey, so that a colour nobody sees is not found.

    Args:
        images: (F, H, W, C) float in [0, 1], C = 1, 3 or 4; one picture is a batch of one.

    Raises:
        MIVAError: another type, rank, number of channels or range, empty, tiny, or not finite.
    """
    if not isinstance(images, Tensor) or not images.is_floating_point():
        kind = str(images.dtype) if isinstance(images, Tensor) else type(images).__name__
        raise MIVAError(f"Expected an IMAGE batch of shape [frames, height, width, channels] of floats, got {kind}.")
    if images.ndim != 4 or images.shape[-1] not in (1, 3, 4):
        raise MIVAError(
            f"Expected an IMAGE batch of shape [frames, height, width, channels], got {tuple(images.shape)}."
        )
    if not images.numel():
        raise MIVAError(f"The IMAGE batch is empty, its shape is {tuple(images.shape)}: connect one with a frame.")
    if min(images.shape[1:3]) < MIN_SIDE:
        raise MIVAError(
            f"The image is {told_size(images.shape[1:3])}: each side must have at least {MIN_SIDE} pixels to find "
            "anything in it."
        )
    frames = images.detach().to("cpu", torch.float32)
    if not frames.isfinite().all():
        raise MIVAError("The image holds NaN or infinite values: check the node or file it comes from.")
    check_range(frames, "The image")
    if frames.amin() < 0 or frames.amax() > 1:
        frames = frames.clamp(0, 1)
    if frames.shape[-1] == 4:
        alpha = frames[..., 3:]
        frames = frames[..., :3] * alpha + _GREY * (1 - alpha)
    return frames.expand(*frames.shape[:3], 3)


def check_range(values: Tensor, owner: str) -> None:
    """Check that values lie in [0, 1], but for rounding.

    Args:
        owner: whose they are, for the message: "The image".

    Raises:
        MIVAError: they do not, or one is no number.
    """
    low, high = values.amin().item(), values.amax().item()
    if not (low >= -_SLACK and high <= 1 + _SLACK):
        raise MIVAError(f"{owner} has values from {low:g} to {high:g}: scale them to 0 … 1.")


def to_bytes(picture: Tensor) -> Tensor:
    """(H, W, 3) in [0, 1] as uint8 (3, H, W), which the models' own preparation starts from."""
    return rearrange((picture * 255).round().to(torch.uint8), "h w c -> c h w")


def image_processor(model: str, name: str) -> "type[BaseImageProcessor]":
    """The library's preparation of pictures for a model, on tensors.

    Older releases keep it in a file of its own and call it "Fast", beside a slower one; newer ones warn of that name.
    """
    import transformers

    folder = Path(transformers.__file__).parent / "models" / model
    fast = "Fast" if (folder / f"image_processing_{model}_fast.py").is_file() else ""
    return getattr(transformers, name + fast)
