"""The pictures and clips in which subjects are looked for."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from einops import rearrange
from torch import Tensor

from ..media.pixel_values import frame_batch, to_bytes

if TYPE_CHECKING:
    from transformers import BaseImageProcessor

_GREY = 0.5


def check_images(images: Any) -> Tensor:
    """Frames (F, H, W, 3) float32 on the CPU in [0, 1].

    What is transparent becomes mid grey, so that a colour nobody sees is not found.

    Args:
        images: (F, H, W, C) float in [0, 1], see `frame_batch`.

    Raises:
        MIVAError: as from `frame_batch`.
    """
    frames = frame_batch(images, "The image")
    if frames.shape[-1] in (2, 4):
        alpha = frames[..., -1:]
        frames = frames[..., :-1] * alpha + _GREY * (1 - alpha)
    return frames.expand(*frames.shape[:3], 3)


def to_planes(picture: Tensor) -> Tensor:
    """(H, W, 3) in [0, 1] as uint8 (3, H, W), which the models' own preparation starts from."""
    return rearrange(to_bytes(picture), "h w c -> c h w")


def image_processor(model: str, name: str) -> "type[BaseImageProcessor]":
    """The library's preparation of pictures for a model, on tensors.

    Older releases keep it in a file of its own and call it "Fast", beside a slower one; newer ones warn of that name.
    """
    import transformers

    folder = Path(transformers.__file__).parent / "models" / model
    fast = "Fast" if (folder / f"image_processing_{model}_fast.py").is_file() else ""
    return getattr(transformers, name + fast)
