"""Read a still picture and fit it to the size a model works at.

Pictures are float32 tensors (H, W, 3), RGB in [0, 1]. Sizes in code are (height, width); sizes that people read or
type are width×height.
"""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from ..errors import MIVAError, MIVAWarning
from ..storage.files import require_file
from .picture_decoding import decode_picture
from .pixel_values import MIN_SIDE, clamp_unit
from .transparency import is_opaque, warn_over_white

_ASPECT_SLACK = 0.03


def read_picture(path: str | Path) -> Tensor:
    """Read a picture file, upright by its EXIF orientation.

    Reads the usual raster formats by Pillow and what Pillow cannot hold (colour in floats) by OpenCV. Integer formats
    are scaled to [0, 1] from 8 or 16 bits, floats are clipped to [0, 1], an animation gives its first frame.
    Transparent pictures are composited over white, and little damage is mended, see `decode_picture`; a `MIVAWarning`
    tells so.

    Args:
        path: the file.

    Returns:
        (H, W, 3) float32 in [0, 1].

    Raises:
        MIVAError: no such file, a folder, empty, not a picture, damaged, above 100 megapixels (refused before
            decoding), or below 8 pixels a side.
    """
    return read_large_picture(path, None)[0]


def read_large_picture(path: str | Path, needed_side: int | None) -> tuple[Tensor, tuple[int, int]]:
    """Like `read_picture`, in less memory where the picture is larger than it is needed; and its size in the file.

    Args:
        needed_side: pixels that suffice along the shorter side. A picture that has many more is scaled down while it is
            decoded, to no less than twice as many; None: never.

    Returns:
        (H, W, 3) float32 in [0, 1], and (height, width) as they are in the file.
    """
    picture, opacity, size = _read_cutout(path, needed_side)
    if opacity is not None:
        warn_over_white(str(path))
    return picture, size


def read_cutout(path: str | Path, needed_side: int | None = None) -> tuple[Tensor, Tensor | None]:
    """Like `read_large_picture`, without its warning, and how opaque the picture is: (H, W) in [0, 1], None where all
    is."""
    return _read_cutout(path, needed_side)[:2]


def _read_cutout(path: str | Path, needed_side: int | None) -> tuple[Tensor, Tensor | None, tuple[int, int]]:
    path = require_file(path, "picture")
    decoded = decode_picture(path, needed_side)
    values, alpha = _split_alpha(decoded.pixels, path)
    if alpha is not None:
        values = values * alpha + (1 - alpha)
    return values.expand(-1, -1, 3).contiguous(), None if alpha is None else alpha[..., 0], decoded.size


def read_mask(path: str | Path) -> Tensor:
    """Read a mask: the brightness of a picture (of its brightest channel), or the opaque part of a cut-out.

    The labels 0 and 1 of a PNG are black and white.
    A picture that is transparent in places is a cut-out, unless what is visible of it is black and white itself. A
    warning tells so. Formats, sizes and errors are those of `read_picture`.

    Returns:
        (H, W) float32 in [0, 1].
    """
    path = require_file(path, "mask")
    pixels = decode_picture(path).pixels
    if path.suffix.lower() == ".png" and pixels.dtype == np.uint8 and pixels.max() == 1:
        # Labels, as programs that segment write them; files that lose detail have such a value by chance.
        pixels = pixels * np.uint8(255)
    if pixels.dtype.kind == "u" and pixels.shape[2:] == (3,):
        # As floats three channels would take three times the memory.
        pixels = pixels.max(-1)
    values, alpha = _split_alpha(pixels, path)
    bright = values.amax(-1)
    if alpha is None:
        return bright
    alpha = alpha[..., 0]
    if is_black_and_white(values[alpha > 0.5]):
        return bright * alpha
    warnings.warn(f"The mask {path} was taken from its transparency: opaque is the subject.", MIVAWarning, stacklevel=2)
    return alpha


def is_black_and_white(colours: Tensor) -> bool:
    """Whether colours (N, C) are nearly all black or white, and some of each."""
    black, white = (colours.amax(-1) < 0.1), (colours.amin(-1) > 0.9)
    return bool(black.any() and white.any() and (black | white).float().mean() > 0.9)


def parse_size(text: str) -> tuple[int, int]:
    """Turn "160x96" (width x height) or "128" (a square) into (height, width).

    Raises:
        MIVAError: the text has another form, or a side is outside 8..8192.
    """
    match = re.fullmatch(r"\s*(\d{1,6})\s*(?:[xX×]\s*(\d{1,6})\s*)?", text)
    if not match:
        raise MIVAError(f"The size {text!r} is not understood: write width x height such as 160x96, or one number.")
    width = int(match[1])
    height = int(match[2] or width)
    if not all(MIN_SIDE <= side <= 8192 for side in (width, height)):
        raise MIVAError(f"The size {text!r} is out of range: each side must be from {MIN_SIDE} to 8192 pixels.")
    return height, width


def fit_picture(
    picture: Tensor,
    size: tuple[int, int],
    how: Literal["crop", "pad"] = "crop",
    original: tuple[int, int] | None = None,
) -> tuple[Tensor, str]:
    """Bring a picture to an exact size without distorting it.

    Args:
        picture: (H, W, 3) float in [0, 1]; see `clamp_unit`.
        size: (height, width) wanted.
        how: "crop" fills the size and cuts off what sticks out, evenly on both sides; "pad" keeps the whole picture
            and continues its edge pixels to fill the rest.
        original: (height, width) of it in its file, to be told, where it was scaled down as it was read.

    Returns:
        The picture (height, width, 3) and one sentence on what was done, empty when nothing was.

    Raises:
        MIVAError: `picture` is not (H, W, 3) or has another range, `size` is not positive, or `how` is unknown.
    """
    if picture.ndim != 3 or picture.shape[-1] != 3 or 0 in picture.shape:
        raise MIVAError(f"A picture must be a tensor (H, W, 3), but it is {tuple(picture.shape)}.")
    if min(size) < 1:
        raise MIVAError(f"The size {format_size(size)} is not possible: both sides must be at least one pixel.")
    if how not in ("crop", "pad"):
        raise MIVAError(f"A picture can be fitted by 'crop' or 'pad', but {how!r} was asked for.")
    picture = clamp_unit(picture, "The picture")
    fitted = (crop_to if how == "crop" else _pad_to)(picture, size)
    return fitted, _told_steps(original or (picture.shape[0], picture.shape[1]), size, how)


def fit_mask(mask: Tensor, size: tuple[int, int], how: Literal["crop", "pad"] = "crop") -> Tensor:
    """A mask (H, W) in [0, 1] as it covers a picture that `fit_picture` fits: (height, width)."""
    return (crop_to if how == "crop" else _pad_to)(mask[..., None], size)[..., 0]


def _split_alpha(pixels: np.ndarray, path: Path) -> tuple[Tensor, Tensor | None]:
    """(H, W) or (H, W, C) of uint8, uint16 or float to colours (H, W, 1 or 3) and opacity (H, W, 1), in [0, 1]; None
    where all is opaque."""
    if pixels.dtype not in (np.uint8, np.uint16, np.float32):
        raise MIVAError(f"The picture {path} has {pixels.dtype} pixels: save it with 8 or 16 bits a channel.")
    white = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
    values = torch.from_numpy(pixels.astype(np.float32)).div_(white).nan_to_num_(0, 1, 0).clamp_(0, 1)
    if values.ndim == 2:
        values = values[..., None]
    if values.shape[-1] == 4:
        return values[..., :3], None if is_opaque(values[..., 3]) else values[..., 3:]
    return values, None


def crop_to(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """A picture (H, W, C) in [0, 1], its range unchecked, as `fit_picture` crops it: (height, width, C)."""
    (h, w), kept = picture.shape[:2], _cropped(picture.shape[:2], size)
    top, left = (h - kept[0]) // 2, (w - kept[1]) // 2
    return scale_picture(picture[top : top + kept[0], left : left + kept[1]], size)


def _cropped(whole: Sequence[int], size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of what is kept of a picture by a crop to the aspect of a size."""
    (h, w), (height, width) = whole, size
    return max(1, min(h, round(w * height / width))), max(1, min(w, round(h * width / height)))


def _pad_to(picture: Tensor, size: tuple[int, int]) -> Tensor:
    (height, width), inner = size, _padded(picture.shape[:2], size)
    scaled = scale_picture(picture, inner)
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    rows = torch.arange(-top, height - top, device=picture.device).clamp(0, inner[0] - 1)
    columns = torch.arange(-left, width - left, device=picture.device).clamp(0, inner[1] - 1)
    return scaled[rows][:, columns]


def _padded(whole: Sequence[int], size: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of a whole picture within a size."""
    (h, w), (height, width) = whole, size
    ratio = min(height / h, width / w)
    return max(1, min(height, round(h * ratio))), max(1, min(width, round(w * ratio)))


def _told_steps(whole: tuple[int, int], size: tuple[int, int], how: Literal["crop", "pad"]) -> str:
    """In words, by which one or two steps `fit_picture` brings a whole picture to a size."""
    first, second = ("centre-cropped", "scaled") if how == "crop" else ("scaled", "padded")
    between, steps = (_cropped if how == "crop" else _padded)(whole, size), []
    if between != whole:
        steps.append(f"{first} {format_size(whole)} to {format_size(between)}")
    if between != size:
        start = "" if steps else f" {format_size(between)}"
        steps.append(f"{second}{start} to {format_size(size)}")
    return ", ".join(steps)


def scale_picture(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """A picture (H, W, 3) in [0, 1] at a (height, width), whatever becomes of its aspect."""
    if picture.shape[:2] == size:
        return picture.contiguous()
    planes = rearrange(picture, "h w c -> 1 c h w")
    scaled = functional.interpolate(planes, size=size, mode="bicubic", antialias=True, align_corners=False)
    return rearrange(scaled, "1 c h w -> h w c").clamp(0, 1).contiguous()


def same_aspect(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two (height, width) have the same aspect, but for the rounding that scaling leaves."""
    return abs(other[1] / other[0] / (size[1] / size[0]) - 1) <= _ASPECT_SLACK


def format_size(size: Sequence[int]) -> str:
    """(height, width) as people write it, width first."""
    return f"{size[1]}×{size[0]}"
