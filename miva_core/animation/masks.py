"""The masks a user gives for the first frame: checked and brought to the size of the clip."""

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


def fit_masks(
    masks: Mapping[str, Tensor],
    configs: Mapping[str, MIVAConfig],
    picture: tuple[int, int],
    size: tuple[int, int],
    how: Literal["crop", "pad"] = "crop",
) -> dict[str, Tensor]:
    """Fit subject masks to the clip's first frame.

    Args:
        masks: by the name of the motion, as in `check_masks`.
        configs: as in `check_masks`.
        picture: (height, width) of the picture; a mask of another size is scaled to it, with a warning.
        size: (height, width) of the clip.
        how: the picture is fitted to the clip, see `fit_picture`.

    Returns:
        (height, width) float32 by name in the order of the motions, cropped and scaled like the picture. A mask that
        nowhere exceeds 0.5 is taken for the whole frame, with a warning.

    Raises:
        MIVAError: as from `check_masks`.
    """
    return {
        name: _fit(name, match_size(name, mask, picture), size, how)
        for name, mask in check_masks(masks, configs).items()
    }


def check_masks(masks: Mapping[str, Tensor], configs: Mapping[str, MIVAConfig]) -> dict[str, Tensor]:
    """Check that masks are those which the motions need.

    Args:
        masks: (H, W) or (1, H, W) in [0, 1] by the name of the motion, see `mask_batch`; one for each adapter with a
            mask stream.
        configs: of the adapters of all motions, by name.

    Returns:
        (H, W) float32 by name in the order of the motions.

    Raises:
        MIVAError: a mask is missing, or belongs to an adapter without a mask stream, or is no such tensor.
    """
    for name in masks:
        if not configs[name].mask:
            raise MIVAError(
                f"A mask is given for {name}, but this adapter has no mask stream: leave the mask out, or take an "
                "adapter that was trained with masks."
            )
    missing = [name for name, config in configs.items() if config.mask and name not in masks]
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
    return F.interpolate(mask[None, None], picture, mode="bilinear", antialias=True)[0, 0]


def _checked(name: str, mask: Any) -> Tensor:
    """(H, W) float32."""
    masks = mask_batch(mask, f"The mask of {name}")
    if len(masks) > 1:
        raise MIVAError(f"The mask of {name} is a batch of {len(masks)}, but there is one picture: give one of them.")
    return masks[0]


def _fit(name: str, mask: Tensor, size: tuple[int, int], how: Literal["crop", "pad"]) -> Tensor:
    fitted = fit_mask(mask, size, how)
    if fitted.amax() <= 0.5:
        where = f"shows nothing that is left at {format_size(size)}"
        if mask.amax() <= 0.5:
            where = "is nowhere brighter than half" if mask.any() else "is empty"
        _warn(f"The mask of {name} {where}, so it is taken for the whole frame.")
        return torch.ones_like(fitted)
    return fitted


def _warn(text: str) -> None:
    warnings.warn(text, MIVAWarning, stacklevel=2)
