"""Lay the frames of clips out on one picture, and mark subjects in it."""

import math
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..errors import MIVAError
from .pictures import crop_to
from .video import checked_bytes

if TYPE_CHECKING:
    from PIL import ImageFont

_CELL_WIDTH = 160
_LABEL_HEIGHT = 24
_GAP = 2
MASK_COLOURS = (
    (1.0, 1.0, 1.0),
    (1.0, 0.6, 0.1),
    (0.2, 0.7, 1.0),
    (0.4, 0.9, 0.3),
    (0.9, 0.3, 0.8),
    (0.9, 0.9, 0.2),
)


def frames_over_masks(frames: Tensor, masks: Sequence[Tensor]) -> Tensor:
    """Put the masks of subjects below a clip, each in another colour.

    Args:
        frames: (F, H, W, 3) in [0, 1].
        masks: (F, H, W) in [0, 1] of each subject; where they overlap, the last one is seen.

    Returns:
        (F, 2 H, W, 3)
    """
    painted = torch.zeros_like(frames)
    for mask, colour in zip(masks, cycle(MASK_COLOURS)):
        painted = torch.lerp(painted, torch.tensor(colour).expand_as(painted), mask[..., None])
    return torch.cat([frames, painted], dim=1)


def shrink_to_width(picture: Tensor, width: int) -> Tensor:
    """Scale a picture (H, W, 3) down to a width, for several beside each other; narrower ones stay as they are."""
    scale = min(1.0, width / picture.shape[1])
    return crop_to(picture, (max(1, round(picture.shape[0] * scale)), round(picture.shape[1] * scale)))


def contact_sheet(rows: list[tuple[str, Tensor]], every: int = 2) -> Tensor:
    """Lay clips out on one picture: a labelled row for each, with its frames from left to right.

    Args:
        rows: a label (ASCII) and a clip (F, H, W, 3) float in [0, 1] for each row; small frames are enlarged by
            whole factors to at least 160 pixels of width.
        every: show frames 1, 1 + every, 1 + 2 every and so on.

    Returns:
        (height, width, 3) uint8, white around the frames.

    Raises:
        MIVAError: no rows, `every` below 1, or a clip is not as above.
    """
    if not rows or every < 1:
        raise MIVAError(f"A contact sheet needs rows and a step of at least 1, but got {len(rows)} and {every}.")
    strips = [strip for label, clip in rows for strip in (_label(label), _row(checked_bytes(clip, ndim=4)[::every]))]
    width = max(strip.shape[1] for strip in strips)
    padded = [np.pad(s, ((0, 0), (0, width - s.shape[1]), (0, 0)), constant_values=255) for s in strips]
    return torch.from_numpy(np.concatenate(padded))


def label_font(size: int) -> "ImageFont.FreeTypeFont":
    """The font for text in pictures, DejaVu Sans as matplotlib brings it, `size` pixels high."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), size)


def _row(pixels: np.ndarray) -> np.ndarray:
    factor = max(1, math.ceil(_CELL_WIDTH / pixels.shape[2]))
    enlarged = pixels.repeat(factor, axis=1).repeat(factor, axis=2)
    return np.concatenate([np.pad(f, ((0, _GAP), (0, _GAP), (0, 0)), constant_values=255) for f in enlarged], axis=1)


def _label(text: str) -> np.ndarray:
    from PIL import Image, ImageDraw

    font = label_font(14)
    width = math.ceil(font.getlength(text)) + 8
    image = Image.new("RGB", (width, _LABEL_HEIGHT), "white")
    ImageDraw.Draw(image).text((4, 2), text, fill="black", font=font)
    return np.asarray(image)
