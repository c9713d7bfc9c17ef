"""Pictures and masks as ComfyUI's nodes hand them over, as the engine takes them."""

import torch
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..miva_core.errors import MIVAError
from ..miva_core.media.pictures import format_size
from ..miva_core.media.pixel_values import frame_batch, mask_batch

_PICTURE = "The picture"


def pictures_of(image: Tensor, what: str = _PICTURE) -> Tensor:
    """Take the pictures out of an IMAGE.

    A fourth channel is opacity, which is not used, as in ComfyUI's own nodes.

    Args:
        image: (N, H, W, 1 to 4), or another shape that `frame_batch` takes.
        what: the image is, to begin a message with.

    Returns:
        (N, H, W, 3) in [0, 1], at least one.

    Raises:
        MIVAError: as from `frame_batch`.
    """
    pictures = frame_batch(image, what)
    return pictures[..., :3] if pictures.shape[-1] >= 3 else pictures[..., :1].expand(-1, -1, -1, 3)


def split_opacity(image: Tensor, what: str) -> tuple[Tensor, Tensor | None]:
    """Separate the colours of an IMAGE from its opacity.

    Args:
        image: (N, H, W, 1 to 4), or another shape that `frame_batch` takes.
        what: the image is, to begin a message with.

    Returns:
        Colours (N, H, W, 1 or 3) in [0, 1], and opacity (N, H, W, 1), or None where there is no such channel.

    Raises:
        MIVAError: as from `frame_batch`.
    """
    pictures = frame_batch(image, what)
    return (pictures[..., :-1], pictures[..., -1:]) if pictures.shape[-1] in (2, 4) else (pictures, None)


def frames_of(image: Tensor, what: str = _PICTURE) -> Tensor:
    """Copy the frames (F, H, W, 3) of an IMAGE, so that they may be trained with; as `pictures_of`."""
    return pictures_of(image, what).clone()


def drawn_mask(mask: Tensor, what: str, or_else: str = ", or connect Subject Mask") -> Tensor:
    """Take the one mask out of a MASK.

    Args:
        mask: (1, H, W), or another shape that `mask_batch` takes.
        what: the mask is, to begin the message with.
        or_else: what can be done besides painting.

    Returns:
        (H, W) in [0, 1].

    Raises:
        MIVAError: it is empty, as Load Image's is for pictures without transparency, or there are several, or as from
            `mask_batch`.
    """
    masks = mask_batch(mask, what)
    if len(masks) != 1:
        raise MIVAError(
            f"{what} is a batch of {len(masks)}, and one is needed: put Convert Mask to Image, Get Image from Batch "
            "and Convert Image to Mask before this node to choose it."
        )
    only = masks[0]
    if only.amax() <= 0.5:
        fault, size = "nowhere brighter than half" if only.any() else "empty", format_size(only.shape)
        # Load Image gives 64 by 64 zeros where a picture has no transparency.
        if tuple(only.shape) == (64, 64) and not only.any():
            size += ", what Load Image gives for a picture without a mask"
        raise MIVAError(
            f"{what} is {fault} ({size}): right-click the picture, open the mask editor and paint over the subject"
            f"{or_else}."
        )
    return only


def drawn_masks(mask: Tensor, what: str) -> Tensor:
    """Take the masks out of a MASK, one for each picture of a batch, or one for all.

    Args:
        mask: (N, H, W), or another shape that `mask_batch` takes.
        what: the mask is, to begin the message with.

    Returns:
        (N, H, W) in [0, 1].

    Raises:
        MIVAError: one of them is empty, see `drawn_mask`, or as from `mask_batch`.
    """
    masks = mask_batch(mask, what)
    if len(masks) == 1:
        return drawn_mask(masks, what)[None]
    return torch.stack([drawn_mask(one, f"{what} for picture {k}") for k, one in enumerate(masks, start=1)])


def check_left(edited: Tensor, before: Tensor, what: str, edits: str) -> None:
    """Check that something is left of a mask after it was edited.

    Args:
        edited: the mask, of any shape.
        before: the mask as it was drawn.
        what: the mask is.
        edits: the widgets that have edited it.

    Raises:
        MIVAError: nothing is, though something was there.
    """
    if before.amax() > 0.5 >= edited.amax():
        raise MIVAError(f"Nothing of {what} is left after it was edited: undo {edits}, or connect another mask.")


def edge_inputs() -> list[io.Input]:
    """Make the widgets that change the edge of a mask, `grow` and `feather`."""
    return [
        io.Int.Input(
            "grow",
            default=0,
            min=-256,
            max=256,
            tooltip="Pixels by which the mask's edge is moved outwards; below 0 inwards.",
            advanced=True,
        ),
        io.Int.Input(
            "feather",
            default=0,
            min=0,
            max=256,
            tooltip="Pixels over which the mask's edge is softened.",
            advanced=True,
        ),
    ]
