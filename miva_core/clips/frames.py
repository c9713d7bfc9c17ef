"""Training clips made of frames that are in memory already."""

import torch
from torch import Tensor

from ..errors import MIVAError
from ..media.pictures import crop_to, fit_mask, format_size
from ..media.pixel_values import clamp_unit, mask_batch, to_bytes
from .training_clip import ClipSpec, TrainingClip, choose_stride, warn_late_subject


def clip_from_frames(
    name: str, frames: Tensor, fps: float, spec: ClipSpec, masks: Tensor | None = None
) -> TrainingClip:
    """Make a training clip of frames, fitted to the frame of a base like those of `read_clips`.

    Args:
        name: what to call it.
        frames: (N, H, W, 3) in [0, 1].
        fps: frames per second; 0 if it is not known, which is taken for the base's.
        spec: what the base needs.
        masks: (N, H, W) in [0, 1] of its subject, or another shape that `mask_batch` takes.

    Raises:
        MIVAError: the clip is too short or has another range; or the masks have another size or number, show nothing,
            or are refused by `mask_batch`.
    """
    frames = clamp_unit(frames, name)
    if masks is not None:
        masks = mask_batch(masks, f"The mask of {name}")
        _check_masks(name, masks, frames)
    if len(frames) == 1 < spec.frames:
        raise MIVAError(
            f"{name} is a single picture, but {spec.frames} frames are needed: connect videos, or batches of frames; "
            "single pictures are for Motion Clips."
        )
    try:
        stride = choose_stride(name, len(frames), fps or spec.fps, spec)
    except MIVAError as error:
        raise MIVAError(f"{error}: connect a longer clip.") from error
    fitted = torch.zeros(0, len(frames), *spec.size).byte() if masks is None else _fitted_masks(name, masks, spec)[None]
    return TrainingClip(name, _fitted_frames(frames, spec), fitted, stride)


def _check_masks(name: str, masks: Tensor, frames: Tensor) -> None:
    if masks.shape != frames.shape[:3]:
        found, expected = (f"{len(batch)} of {format_size(batch.shape[1:3])}" for batch in (masks, frames))
        raise MIVAError(
            f"The masks of {name} are {found}, but its frames are {expected}: give one mask of the same size for each "
            "frame."
        )
    if masks.amax() <= 0.5:
        raise MIVAError(f"The masks of {name} show no subject: masks are white where it is.")


def _fitted_masks(name: str, masks: Tensor, spec: ClipSpec) -> Tensor:
    """Masks (N, H, W) uint8 at the base's size."""
    fitted = torch.stack([to_bytes(fit_mask(mask, spec.size)) for mask in masks])
    if fitted.max() <= 127:
        raise MIVAError(
            f"The masks of {name} show nothing that is left at {format_size(spec.size)}: crop the clip around its "
            "subject."
        )
    warn_late_subject(name, fitted)
    return fitted


def _fitted_frames(frames: Tensor, spec: ClipSpec) -> Tensor:
    """Frames (N, 3, H, W) uint8 at the base's size."""
    fitted = [to_bytes(crop_to(frame, spec.size)) for frame in frames]
    return torch.stack(fitted).movedim(-1, 1).contiguous()
