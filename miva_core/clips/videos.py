"""Videos that are connected to a node: their frames over white and as time runs, and masks of their subject."""

from pathlib import Path

import torch
from torch import Tensor

from ..media.pictures import scale_picture
from ..media.transparency import is_cut_out, is_opaque, warn_masks_from_opacity, warn_over_white
from ..media.video import open_video


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
        mask = _warn_and_choose(name, video.opacity[..., 0], mask)
    if mask is not None and mask.ndim == 3 and len(mask) == len(video.frames):
        if mask.shape[1:] == video.stored_size != video.size:
            mask = torch.stack([scale_picture(one[..., None], video.size)[..., 0] for one in mask])
        mask = video.even(mask)
    return video.even(video.frames), video.fps, mask


def over_white(name: str, frames: Tensor, opacity: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Frames that are transparent in places, and masks of their subject.

    Args:
        name: what to call them in warnings.
        frames: (F, H, W, 3) in [0, 1].
        opacity: (F, H, W, 1) in [0, 1].
        mask: (F, H, W), or None: what is opaque of them.
    """
    if is_opaque(opacity):
        return frames, mask
    return frames * opacity + 1 - opacity, _warn_and_choose(name, opacity[..., 0], mask)


def _warn_and_choose(name: str, opacity: Tensor, mask: Tensor | None) -> Tensor | None:
    warn_over_white(name)
    if mask is not None or not is_cut_out(opacity):
        return mask
    warn_masks_from_opacity(name)
    return opacity
