"""Training clips out of frames that are in memory already."""

import torch
from torch import Tensor

from ..errors import MIVAError
from ..media.pictures import crop_to, fit_mask, format_size
from ..media.pixel_values import clamp_unit, mask_batch, to_bytes
from .files import TrainingClip, Wanted, stride_of, warn_absent


def frame_clip(name: str, frames: Tensor, fps: float, wanted: Wanted, mask: Tensor | None = None) -> TrainingClip:
    """A clip fitted to the base's frame, like those of `read_clips`.

    Args:
        name: what to call it.
        frames: (N, H, W, 3) in [0, 1].
        fps: frames a second; 0 if it is not known, which is taken for the base's.
        mask: (N, H, W) in [0, 1], of its subject, or another shape that `mask_batch` takes.

    Raises:
        MIVAError: it is too short or has another range, or the mask has another size or number of frames, or shows
            nothing, or as from `mask_batch`.
    """
    frames, mask = clamp_unit(frames, name), None if mask is None else mask_batch(mask, f"The mask of {name}")
    if mask is not None and mask.shape != frames.shape[:3]:
        told = [f"{len(one)} of {format_size(one.shape[1:3])}" for one in (mask, frames)]
        raise MIVAError(
            f"The masks of {name} are {told[0]}, but its frames are {told[1]}: give one mask of the same size for each "
            "frame."
        )
    if mask is not None and mask.amax() <= 0.5:
        raise MIVAError(f"The masks of {name} show no subject: masks are white where it is.")
    if len(frames) == 1 < wanted.frames:
        raise MIVAError(
            f"{name} is a single picture, but {wanted.frames} frames are needed: connect videos, or batches of frames; "
            "single pictures are for Camera Clips."
        )
    try:
        stride = stride_of(name, len(frames), fps or wanted.fps, wanted)
    except MIVAError as error:
        raise MIVAError(f"{error}: connect a longer clip.") from error
    covered = [] if mask is None else [torch.stack([to_bytes(fit_mask(one, wanted.size)) for one in mask])]
    for one in covered:
        if one.max() <= 127:
            raise MIVAError(
                f"The masks of {name} show nothing that is left at {format_size(wanted.size)}: crop the clip around "
                "its subject."
            )
        warn_absent(name, one)
    masks = torch.stack(covered) if covered else torch.zeros(0, len(frames), *wanted.size).byte()
    return TrainingClip(name, _fitted(frames, wanted), masks, stride)


def _fitted(frames: Tensor, wanted: Wanted) -> Tensor:
    """(N, 3, H, W) uint8 at the base's size."""
    fitted = [to_bytes(crop_to(frame, wanted.size)) for frame in frames]
    return torch.stack(fitted).movedim(-1, 1).contiguous()
