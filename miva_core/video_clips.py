"""Videos that are connected to a node: their frames over white and as time runs, and masks of their subject."""

import warnings
from pathlib import Path

from torch import Tensor
from torch.nn import functional

from .errors import MIVAWarning
from .video import open_video


def read_connected(name: str, path: Path, mask: Tensor | None) -> tuple[Tensor, float, Tensor | None]:
    """A video file, as `read_video` reads it, with masks of its subject.

    Args:
        name: what to call it in warnings.
        mask: (N, H, W), one for each frame as it is coded; None for what is opaque of a transparent video.

    Returns:
        Frames (F, H, W, 3) in [0, 1], their number a second, and masks (F, H, W) or None.

    Raises:
        MIVAError: as from `read_video`.
    """
    video = open_video(path, lambda frame: frame)
    if video.opacity is not None:
        _warn_transparent(name)
        mask = given_or_opaque(name, mask, video.opacity)
    if mask is not None and mask.ndim == 3 and len(mask) == len(video.frames):
        if mask.shape[1:] == video.stored_size != video.size:
            mask = functional.interpolate(mask[:, None], video.size, mode="bilinear", antialias=True)[:, 0]
        mask = video.even(mask)
    return video.even(video.frames), video.fps, mask


def over_white(name: str, frames: Tensor, opacity: Tensor) -> Tensor:
    """Frames that are transparent in places over white, with a `MIVAWarning`.

    Args:
        name: what to call them in warnings.
        frames: (F, H, W, C) in [0, 1].
        opacity: (F, H, W, 1) in [0, 1].
    """
    # Decoding may leave a little less than 1.
    if opacity.min() > 0.98:
        return frames
    _warn_transparent(name)
    return frames * opacity + 1 - opacity


def given_or_opaque(name: str, mask: Tensor | None, opacity: Tensor) -> Tensor | None:
    """Masks of the subject that are given, or else what is opaque, with a `MIVAWarning`, if something is and some is
    not.

    Args:
        name: what to call the frames in warnings.
        mask: (F, H, W), or None.
        opacity: (F, H, W, 1) in [0, 1].
    """
    if mask is not None or not opacity.min() <= 0.5 < opacity.max():
        return mask
    text = f"Masks are taken from the transparency of {name}: opaque is the subject."
    warnings.warn(text, MIVAWarning, stacklevel=2)
    return opacity[..., 0]


def _warn_transparent(name: str) -> None:
    warnings.warn(f"What is transparent in {name} is shown over white.", MIVAWarning, stacklevel=3)
