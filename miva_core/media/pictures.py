"""Read still pictures and masks, and fit them to the size a model works at.

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
_SEVERAL_HUES = 0.02
"""Mean distance of colours from their mean hue from which on a picture has several; photographs have 0.03 or more."""
_MOST_GREY = 0.25
"""Share of a coloured mask that may be neither dark nor bright, as where parts in several colours have soft edges."""


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
    """Read a picture like `read_picture`, scaled down while it is decoded where it is larger than needed.

    Args:
        path: the file.
        needed_side: pixels that suffice along the shorter side. A picture that has many more is scaled down to no less
            than twice as many; None keeps every picture at its size.

    Returns:
        The picture (H, W, 3) float32 in [0, 1], and its (height, width) in the file.

    Raises:
        MIVAError: as from `read_picture`.
    """
    picture, opacity, size = _read_cutout(path, needed_side)
    if opacity is not None:
        warn_over_white(str(path))
    return picture, size


def read_cutout(path: str | Path, needed_side: int | None = None) -> tuple[Tensor, Tensor | None]:
    """Read a picture like `read_large_picture`, together with its opacity and without a warning about that.

    Args:
        path: the file.
        needed_side: as in `read_large_picture`.

    Returns:
        The picture over white, (H, W, 3) float32 in [0, 1], and its opacity (H, W) in [0, 1], None where it is full
        everywhere.

    Raises:
        MIVAError: as from `read_picture`.
    """
    return _read_cutout(path, needed_side)[:2]


def _read_cutout(path: str | Path, needed_side: int | None) -> tuple[Tensor, Tensor | None, tuple[int, int]]:
    path = require_file(path, "picture")
    decoded = decode_picture(path, needed_side)
    values, alpha = _split_alpha(decoded.pixels, path)
    if alpha is not None:
        values = values * alpha + (1 - alpha)
    return values.expand(-1, -1, 3).contiguous(), None if alpha is None else alpha[..., 0], decoded.size


def read_mask(path: str | Path) -> Tensor:
    """Read a mask: the brightest channel of a picture, or the opacity of a cut-out.

    A picture that is transparent in places is a cut-out, unless what is visible of it is black and white itself; a
    `MIVAWarning` says so. In a PNG the values 0 and 1 are read as black and white.

    Args:
        path: the file, in one of the formats of `read_picture`.

    Returns:
        (H, W) float32 in [0, 1].

    Raises:
        MIVAError: as from `read_picture`; or it is no mask, but a picture in colours.
    """
    path = require_file(path, "mask")
    pixels = decode_picture(path).pixels
    few = pixels[:: max(1, pixels.shape[0] // 256), :: max(1, pixels.shape[1] // 256)]
    if path.suffix.lower() == ".png" and pixels.dtype == np.uint8 and pixels.max() == 1:
        # Labels, as programs that segment write them; files that lose detail have such a value by chance.
        pixels = pixels * np.uint8(255)
    if pixels.dtype.kind == "u" and pixels.shape[2:] == (3,):
        # As floats three channels would take three times the memory.
        pixels = pixels.max(-1)
    values, alpha = _split_alpha(pixels, path)
    bright = values.amax(-1)
    if alpha is None:
        if _is_in_colours(_split_alpha(few, path)[0]):
            raise MIVAError(
                f"{path} is a picture in colours, but a mask is white on what it marks, and black elsewhere: name such "
                "a picture."
            )
        return bright
    alpha = alpha[..., 0]
    if is_black_and_white(values[alpha > 0.5]):
        return bright * alpha
    warnings.warn(f"The mask {path} was taken from its transparency: opaque is the subject.", MIVAWarning, stacklevel=2)
    return alpha


def _is_in_colours(values: Tensor) -> bool:
    """Whether a picture (H, W, C) in [0, 1] has several hues, and much that is neither dark nor bright."""
    hue = functional.normalize(values.mean((0, 1)), dim=0)
    off = (values - (values @ hue)[..., None] * hue).norm(dim=-1).mean()
    bright = values.amax(-1)
    between = ((bright > 0.1) & (bright < 0.9)).float().mean()
    return bool(off > _SEVERAL_HUES and between > _MOST_GREY)


def is_black_and_white(colours: Tensor) -> bool:
    """Whether more than 90 % of some colours (N, C) in [0, 1] are black or white, with some of each."""
    black, white = (colours.amax(-1) < 0.1), (colours.amin(-1) > 0.9)
    return bool(black.any() and white.any() and (black | white).float().mean() > 0.9)


def parse_size(text: str) -> tuple[int, int]:
    """Parse a size: "160x96" (width x height) or "128" (a square) gives (height, width).

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
        size: (height, width) of the result.
        how: "crop" fills the size and cuts off what sticks out, evenly on both sides; "pad" keeps the whole picture
            and continues its edge pixels to fill the rest.
        original: (height, width) in the file, for the description, where the picture was scaled down as it was read.

    Returns:
        The picture (height, width, 3), and a description of what was done, empty when nothing was.

    Raises:
        MIVAError: `picture` is not (H, W, 3) or has another range, `size` is not positive, or `how` is unknown.
    """
    if picture.ndim != 3 or picture.shape[-1] != 3 or 0 in picture.shape:
        raise MIVAError(f"A picture must be a tensor (H, W, 3), but it is {tuple(picture.shape)}.")
    if min(size) < 1:
        raise MIVAError(f"The size {format_size(size)} is not possible: both sides must be at least one pixel.")
    check_fit(how)
    picture = clamp_unit(picture, "The picture")
    whole = original or (picture.shape[0], picture.shape[1])
    if how == "crop":
        return crop_to(picture, size), describe_fit(whole, cropped_size(whole, size), size, how)
    return pad_to(picture, size), describe_fit(whole, padded_size(whole, size), size, how)


def check_fit(how: str) -> None:
    """Check that a picture can be fitted in this way.

    Raises:
        MIVAError: it is neither "crop" nor "pad".
    """
    if how not in ("crop", "pad"):
        raise MIVAError(f"A picture can be fitted by 'crop' or 'pad', but {how!r} was asked for.")


def fit_mask(mask: Tensor, size: tuple[int, int], how: Literal["crop", "pad"] = "crop") -> Tensor:
    """Fit a mask as `fit_picture` fits the picture that it belongs to.

    Args:
        mask: (H, W) in [0, 1]; the range is not checked.
        size: (height, width) of the result.
        how: as in `fit_picture`.

    Returns:
        (height, width)
    """
    return (crop_to if how == "crop" else pad_to)(mask[..., None], size)[..., 0]


def _split_alpha(pixels: np.ndarray, path: Path) -> tuple[Tensor, Tensor | None]:
    """Split pixels, (H, W) or (H, W, C) of uint8, uint16 or float32, into colours and opacity.

    Returns:
        Colours (H, W, 1 or 3) and opacity (H, W, 1), in [0, 1]; opacity is None where it is full everywhere.
    """
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
    """Crop a picture to the aspect of a size and scale it there, as `fit_picture` does, without its checks.

    Args:
        picture: (H, W, C) in [0, 1].
        size: (height, width) of the result.

    Returns:
        (height, width, C)
    """
    (h, w), inner = picture.shape[:2], cropped_size(picture.shape[:2], size)
    top, left = (h - inner[0]) // 2, (w - inner[1]) // 2
    return scale_picture(picture[top : top + inner[0], left : left + inner[1]], size)


def cropped_size(whole: Sequence[int], size: tuple[int, int]) -> tuple[int, int]:
    """The (height, width) that a crop to the aspect of a `size` leaves of a `whole` picture."""
    (h, w), (height, width) = whole, size
    return max(1, min(h, round(w * height / width))), max(1, min(w, round(h * width / height)))


def pad_to(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """Scale a whole picture to fit into a size and continue its edge pixels, as `fit_picture` does, without its checks.

    Args:
        picture: (H, W, C) in [0, 1].
        size: (height, width) of the result.

    Returns:
        (height, width, C)
    """
    (height, width), inner = size, padded_size(picture.shape[:2], size)
    scaled = scale_picture(picture, inner)
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    rows = torch.arange(-top, height - top, device=picture.device).clamp(0, inner[0] - 1)
    columns = torch.arange(-left, width - left, device=picture.device).clamp(0, inner[1] - 1)
    return scaled[rows][:, columns]


def padded_size(whole: Sequence[int], size: tuple[int, int]) -> tuple[int, int]:
    """The (height, width) that a `whole` picture has when it is scaled to fit into a `size`."""
    (h, w), (height, width) = whole, size
    ratio = min(height / h, width / w)
    return max(1, min(height, round(h * ratio))), max(1, min(width, round(w * ratio)))


def describe_fit(
    whole: tuple[int, int], between: tuple[int, int], size: tuple[int, int], how: Literal["crop", "pad"]
) -> str:
    """Describe the one or two steps by which a picture is brought to a size, as in `fit_picture`.

    Args:
        whole: (height, width) of the picture.
        between: (height, width) after the first step: of what is cropped of it, or of the whole scaled.
        size: (height, width) of the result.
        how: the picture is fitted.

    Returns:
        Words such as "centre-cropped 800×480 to 480×480, scaled to 64×64"; empty when nothing is done.
    """
    first, second = ("centre-cropped", "scaled") if how == "crop" else ("scaled", "padded")
    steps = [f"{first} {format_size(whole)} to {format_size(between)}"] if between != whole else []
    if between != size:
        start = "" if steps else f" {format_size(between)}"
        steps.append(f"{second}{start} to {format_size(size)}")
    return ", ".join(steps)


def scale_picture(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """Scale a picture (H, W, C) in [0, 1] to a (height, width), bicubic and antialiased; its aspect may change."""
    if picture.shape[:2] == size:
        return picture.contiguous()
    planes = rearrange(picture, "h w c -> 1 c h w")
    scaled = functional.interpolate(planes, size=size, mode="bicubic", antialias=True, align_corners=False)
    return rearrange(scaled, "1 c h w -> h w c").clamp(0, 1).contiguous()


def same_aspect(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two sizes (height, width) have the same aspect to 3 %, which covers the rounding that scaling leaves."""
    return abs(other[1] / other[0] / (size[1] / size[0]) - 1) <= _ASPECT_SLACK


def format_size(size: Sequence[int]) -> str:
    """Write a (height, width) as people do, width first: "96×64"."""
    return f"{size[1]}×{size[0]}"
