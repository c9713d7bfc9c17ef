"""The masks a user gives for the first frame: checked and brought to the size of the picture or clip."""

import warnings
from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..adapters.config import MIVAConfig
from ..errors import MIVAError, MIVAWarning
from ..media.pictures import fit_mask, format_size, same_aspect
from ..media.pixel_values import mask_batch
from ..rendering.view import LARGEST_SUBJECT
from .motion import Motion, adapters_among
from .said import Said


def picture_masks(motions: Mapping[str, Motion | Said], picture: tuple[int, int]) -> dict[str, Tensor]:
    """The masks of motions, at the size of the picture.

    Args:
        motions: by name.
        picture: (height, width) of the picture; a mask of another size is scaled to it, with a warning.

    Returns:
        (height, width) float32 by name in the order of the motions.

    Raises:
        MIVAError: as from `check_masks`, or a mask of what is said to the base shows nothing, or all.
    """
    masks = {name: motion.mask for name, motion in motions.items() if motion.mask is not None}
    adapters = adapters_among(motions)
    of_adapters = {name: mask for name, mask in masks.items() if name in adapters}
    checked = check_masks(of_adapters, {name: motion.adapter.config for name, motion in adapters.items()})
    checked |= {name: _said_mask(name, mask) for name, mask in masks.items() if name not in adapters}
    return {name: match_size(name, checked[name], picture) for name in motions if name in checked}


def fit_masks(
    masks: Mapping[str, Tensor], size: tuple[int, int], how: Literal["crop", "pad"] = "crop"
) -> dict[str, Tensor]:
    """Fit subject masks to the clip's first frame.

    Args:
        masks: (H, W) in [0, 1] by name, of the picture's size.
        size: (height, width) of the clip.
        how: the picture is fitted to the clip, see `fit_picture`.

    Returns:
        (height, width) by name, cropped and scaled like the picture. A mask that nowhere exceeds 0.5 is taken for the
        whole frame, with a warning.
    """
    fitted = {name: fit_mask(mask, size, how) for name, mask in masks.items()}
    return {
        name: mask if shows_subject(name, masks[name], mask) else torch.ones_like(mask) for name, mask in fitted.items()
    }


def shows_subject(name: str, mask: Tensor, fitted: Tensor) -> bool:
    """Whether a subject is seen in a mask that was brought to another size; a warning tells where it is not.

    Args:
        name: what the warning calls it by.
        mask: (H, W) in [0, 1], as it was given.
        fitted: (h, w) in [0, 1], what has become of it.
    """
    if fitted.amax() > 0.5:
        return True
    where = f"shows nothing that is left at {format_size(fitted.shape)}"
    if mask.amax() <= 0.5:
        where = "is nowhere brighter than half" if mask.any() else "is empty"
    _warn(f"The mask of {name} {where}, so it is taken for the whole frame.")
    return False


def check_seen(name: str, fitted: Tensor) -> None:
    """Check that something is seen of what a mask of words marks.

    Args:
        name: what the message calls it by.
        fitted: (h, w) in [0, 1], what has become of the mask at the size that the base works at.

    Raises:
        MIVAError: nothing is.
    """
    if fitted.amax() <= 0.5:
        raise MIVAError(
            f"The mask of {name} shows nothing that is left at {format_size(fitted.shape)}: mark a larger part, or one "
            "that the clip shows."
        )


def _said_mask(name: str, mask: Any) -> Tensor:
    """A mask (H, W) that marks a part of the picture."""
    checked = _checked(name, mask)
    marked = (checked > 0.5).float().mean().item()
    if not marked:
        raise MIVAError(f"The mask of {name} marks nothing: it should be white on what is to move.")
    if marked >= LARGEST_SUBJECT:
        raise MIVAError(
            f"The mask of {name} marks the whole picture: leave the mask out for a word that moves all of it, or mark "
            "what is to move alone."
        )
    return checked


def check_masks(masks: Mapping[str, Tensor], configs: Mapping[str, MIVAConfig]) -> dict[str, Tensor]:
    """Check that masks are those which the motions need.

    Args:
        masks: (H, W) or (1, H, W) in [0, 1] by the name of the motion, see `mask_batch`; one for each adapter with a
            mask stream, and for each that a mask guides.
        configs: of the adapters of all motions, by name.

    Returns:
        (H, W) float32 by name in the order of the motions.

    Raises:
        MIVAError: a mask is missing, or belongs to an adapter that takes none, or is no such tensor.
    """
    for name in masks:
        if not configs[name].takes_mask:
            raise MIVAError(
                f"A mask is given for {name}, but this adapter has no mask stream: leave the mask out, or take an "
                "adapter that was trained with masks."
            )
    missing = [name for name, config in configs.items() if config.takes_mask and name not in masks]
    if missing:
        raise MIVAError(
            f"No mask is given for {', '.join(missing)}: a masked motion needs one that shows its subject, as in "
            f"--mask {missing[0]}=mask.png, or in Python Motion({missing[0]}, mask=mask)."
        )
    return {name: _checked(name, masks[name]) for name in configs if name in masks}


def match_size(name: str, mask: Tensor, picture: tuple[int, int]) -> Tensor:
    """Scale a mask to the size of its picture, with a warning where it has another.

    Args:
        name: what the warning calls it by.
        mask: (H, W) in [0, 1].
        picture: (height, width).

    Returns:
        (height, width) in [0, 1].
    """
    if mask.shape == picture:
        return mask
    changed = (
        "scaled"
        if same_aspect(picture, (mask.shape[0], mask.shape[1]))
        else "stretched, which shifts it off its subject,"
    )
    _warn(f"The mask of {name} was {changed} from {format_size(mask.shape)} to the picture's {format_size(picture)}.")
    return scale_mask(mask, picture)


def scale_mask(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """Scale a mask (H, W) in [0, 1] to a (height, width), bilinear and antialiased; its aspect may change."""
    if mask.shape == size:
        return mask
    return F.interpolate(mask[None, None], size, mode="bilinear", antialias=True)[0, 0]


def _checked(name: str, mask: Any) -> Tensor:
    """(H, W) float32."""
    masks = mask_batch(mask, f"The mask of {name}")
    if len(masks) > 1:
        raise MIVAError(f"The mask of {name} is a batch of {len(masks)}, but there is one picture: give one of them.")
    return masks[0]


def _warn(text: str) -> None:
    warnings.warn(text, MIVAWarning, stacklevel=2)
