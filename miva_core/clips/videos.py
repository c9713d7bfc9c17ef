"""Videos that are handed over with masks: frames over white at a constant rate, and masks from transparency."""

from pathlib import Path

import torch
from torch import Tensor

from ..media.pictures import scale_picture
from ..media.transparency import is_cut_out, is_opaque, warn_masks_from_opacity, warn_over_white
from ..media.video import read_video


def read_masked_video(name: str, path: Path, masks: Tensor | None) -> tuple[Tensor, float, Tensor | None]:
    """Read a video at a constant rate, with masks of its subject.

    Args:
        name: what to call it in warnings.
        path: the file, see `read_video`.
        masks: (N, H, W), one for each coded frame; None takes the opacity of a video that is cut out.

    Returns:
        Frames (F, H, W, 3) in [0, 1], frames per second, and masks (F, H, W) or None.

    Raises:
        MIVAError: as from `read_video`.
    """
    video = read_video(path, lambda frame: frame)
    if video.opacity is not None:
        masks = _choose_masks(name, video.opacity[..., 0], masks)
    if masks is not None and masks.ndim == 3 and len(masks) == len(video.frames):
        if masks.shape[1:] == video.stored_size != video.size:
            masks = torch.stack([scale_picture(mask[..., None], video.size)[..., 0] for mask in masks])
        masks = video.at_constant_rate(masks)
    return video.at_constant_rate(video.frames), video.fps, masks


def composite_over_white(
    name: str, frames: Tensor, opacity: Tensor, masks: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Put transparent frames over white, and choose masks of their subject.

    Args:
        name: what to call them in warnings.
        frames: (F, H, W, 3) in [0, 1].
        opacity: (F, H, W, 1) in [0, 1].
        masks: (F, H, W); None takes the opacity of frames that are cut out.

    Returns:
        Frames (F, H, W, 3) in [0, 1], and masks (F, H, W) or None.
    """
    if is_opaque(opacity):
        return frames, masks
    return frames * opacity + 1 - opacity, _choose_masks(name, opacity[..., 0], masks)


def _choose_masks(name: str, opacity: Tensor, masks: Tensor | None) -> Tensor | None:
    """Masks, or else opacity if it sets a subject apart; warns of what becomes of transparency."""
    warn_over_white(name)
    if masks is not None or not is_cut_out(opacity):
        return masks
    warn_masks_from_opacity(name)
    return opacity
