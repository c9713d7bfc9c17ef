"""Read a still picture and fit it to the size a model works at.

Pictures are float32 tensors (H, W, 3), RGB in [0, 1]. Sizes in code are (height, width); sizes that people read or
type are width×height.
"""

import logging
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from .errors import MIVAError, MIVAWarning
from .files import looks_like, require_file
from .pixel_values import MIN_SIDE, clamp_unit

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 100_000_000
_ASPECT_SLACK = 0.03

# Raster formats only: others that Pillow knows run programs (EPS), need plug-ins, or draw vectors.
_PILLOW_FORMATS = (
    *("PNG", "JPEG", "WEBP", "AVIF", "JPEG2000", "TIFF", "BMP", "DIB", "GIF", "ICO", "PPM", "TGA", "QOI"),
    *("PSD", "PCX", "SGI", "DDS"),
)

_log = logging.getLogger(__name__)


def read_picture(path: str | Path) -> Tensor:
    """Read a picture file, upright by its EXIF orientation.

    Reads the usual raster formats by Pillow and what Pillow cannot hold (colour in floats) by OpenCV. Integer formats
    are scaled to [0, 1] from 8 or 16 bits, floats are clipped to [0, 1], an animation gives its first frame.
    Transparent pictures are composited over white, with a warning in the log.

    Args:
        path: the file.

    Returns:
        (H, W, 3) float32 in [0, 1].

    Raises:
        MIVAError: no such file, a folder, empty, not a picture, damaged, above 100 megapixels (refused before
            decoding), or below 8 pixels a side.
    """
    picture, opacity = read_cutout(path)
    if opacity is not None:
        _log.warning("The picture %s is transparent in places: it is shown over white.", path)
    return picture


def read_cutout(path: str | Path) -> tuple[Tensor, Tensor | None]:
    """Like `read_picture`, without the warning, and how opaque the picture is: (H, W) in [0, 1], None where all is."""
    path = require_file(path, "picture")
    values, alpha = _split_alpha(_pixels_of(path), path)
    opaque = bool(alpha.min() == 1)
    if not opaque:
        values = values * alpha + (1 - alpha)
    return values.expand(-1, -1, 3).contiguous(), None if opaque else alpha[..., 0]


def read_mask(path: str | Path) -> Tensor:
    """Read a mask: the brightness of a picture (of its brightest channel), or the opaque part of a cut-out.

    A picture that is transparent in places is a cut-out, unless what is visible of it is black and white itself. A
    warning tells so. Formats, sizes and errors are those of `read_picture`.

    Returns:
        (H, W) float32 in [0, 1].
    """
    path = require_file(path, "mask")
    values, alpha = _split_alpha(_pixels_of(path), path)
    bright, alpha = values.amax(-1), alpha[..., 0]
    if alpha.min() == 1 or is_black_and_white(values[alpha > 0.5]):
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


def fit_picture(picture: Tensor, size: tuple[int, int], how: Literal["crop", "pad"] = "crop") -> tuple[Tensor, str]:
    """Bring a picture to an exact size without distorting it.

    Args:
        picture: (H, W, 3) float in [0, 1]; see `clamp_unit`.
        size: (height, width) wanted.
        how: "crop" fills the size and cuts off what sticks out, evenly on both sides; "pad" keeps the whole picture
            and continues its edge pixels to fill the rest.

    Returns:
        The picture (height, width, 3) and one sentence on what was done, empty when nothing was.

    Raises:
        MIVAError: `picture` is not (H, W, 3) or has another range, `size` is not positive, or `how` is unknown.
    """
    if picture.ndim != 3 or picture.shape[-1] != 3 or 0 in picture.shape:
        raise MIVAError(f"A picture must be a tensor (H, W, 3), but it is {tuple(picture.shape)}.")
    if min(size) < 1:
        raise MIVAError(f"The size {told_size(size)} is not possible: both sides must be at least one pixel.")
    if how not in ("crop", "pad"):
        raise MIVAError(f"A picture can be fitted by 'crop' or 'pad', but {how!r} was asked for.")
    picture = clamp_unit(picture, "The picture")
    return _crop_to(picture, size) if how == "crop" else _pad_to(picture, size)


def _read_with_pillow(file: BinaryIO, path: Path) -> np.ndarray | None:
    """Pixels (H, W) or (H, W, C) as stored, or None when Pillow does not know the file."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    Image.init()
    formats = [name for name in _PILLOW_FORMATS if name in Image.OPEN]  # older releases know no AVIF
    try:
        with warnings.catch_warnings():
            # Our own limit below is told as an error; Pillow would warn at another one.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(file, formats=formats)
    except UnidentifiedImageError:
        return None
    except Image.DecompressionBombError as error:
        raise MIVAError(_too_large(path, "far")) from error
    except Exception as error:  # decoders meet damaged headers with a dozen kinds of exception
        raise MIVAError(_damaged(path)) from error
    _check_size(image.width, image.height, path)
    try:
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return _pixels(image)
    except Exception as error:  # as above, for damaged data
        raise MIVAError(_damaged(path)) from error


def _pixels(image: "Image.Image") -> np.ndarray:
    """Pixels of a loaded Pillow image: uint8 (H, W, 3 or 4), or 16 and 32 bits (H, W)."""
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    if image.mode in ("I", "F"):
        values = np.asarray(image)
        # Pillow widens some 16-bit files to 32 bits.
        widened = values.dtype.kind == "i" and values.min() >= 0 and values.max() <= 65535
        return values.astype(np.uint16) if widened else values
    return np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))


def _read_with_opencv(file: BinaryIO, path: Path) -> np.ndarray:
    """Pixels (H, W) or (H, W, C) of the float formats that Pillow cannot hold; RGB order."""
    import cv2

    size = _float_picture_size(file)
    if size is None:
        raise MIVAError(
            f"{path} is not a picture that can be read, it looks like {looks_like(path)}: export it as PNG or JPEG."
        )
    _check_size(*size, path)
    file.seek(0)
    try:
        pixels = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
        if pixels is None:
            raise MIVAError(_damaged(path))
        if pixels.ndim == 2:
            return pixels
        return cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB)
    except cv2.error as error:
        raise MIVAError(_damaged(path)) from error


def _float_picture_size(file: BinaryIO) -> tuple[int, int] | None:
    """(width, height) in the header of a Radiance, PFM or TIFF file, None for any other."""
    from PIL import TiffImagePlugin

    file.seek(0)
    head = file.read(4096)
    if head.startswith(b"#?") and (match := re.search(rb"\n\n[-+]Y (\d+) [-+]X (\d+)\n", head)):
        return int(match[2]), int(match[1])
    if match := re.match(rb"P[Ff]\s+(\d+)\s+(\d+)\s", head):
        return int(match[1]), int(match[2])
    if head[:4] in (b"II*\0", b"MM\0*"):
        try:
            tags = TiffImagePlugin.ImageFileDirectory_v2(head[:8])
            file.seek(tags.next)
            tags.load(file)
            return int(tags[TiffImagePlugin.IMAGEWIDTH]), int(tags[TiffImagePlugin.IMAGELENGTH])
        except Exception:  # a damaged directory raises many kinds of exception, and then the size is not known
            return None
    return None


def _pixels_of(path: Path) -> np.ndarray:
    """(H, W) or (H, W, C) as stored."""
    with path.open("rb") as file:
        pixels = _read_with_pillow(file, path)
        return _read_with_opencv(file, path) if pixels is None else pixels


def _split_alpha(pixels: np.ndarray, path: Path) -> tuple[Tensor, Tensor]:
    """(H, W) or (H, W, C) of uint8, uint16 or float to colours (H, W, 1 or 3) and opacity (H, W, 1), in [0, 1]."""
    if pixels.dtype not in (np.uint8, np.uint16, np.float32):
        raise MIVAError(f"The picture {path} has {pixels.dtype} pixels: save it with 8 or 16 bits a channel.")
    white = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
    values = torch.from_numpy(pixels.astype(np.float32)).div_(white).nan_to_num_(0, 1, 0).clamp_(0, 1)
    if values.ndim == 2:
        values = values[..., None]
    if values.shape[-1] == 4:
        return values[..., :3], values[..., 3:]
    return values, torch.ones_like(values[..., :1])


def _check_size(width: int, height: int, path: Path) -> None:
    if width * height > MAX_PIXELS:
        raise MIVAError(_too_large(path, f"{width}×{height},"))
    if min(width, height) < MIN_SIDE:
        raise MIVAError(f"The picture {path} is {width}×{height}: each side must have at least {MIN_SIDE} pixels.")


def _too_large(path: Path, size: str) -> str:
    return f"The picture {path} is {size} over the limit of {MAX_PIXELS // 10**6} megapixels: scale it down first."


def _damaged(path: Path) -> str:
    return f"The picture {path} is damaged or cut short: copy or download it again."


def _crop_to(picture: Tensor, size: tuple[int, int]) -> tuple[Tensor, str]:
    (h, w), (height, width) = picture.shape[:2], size
    kept = max(1, min(h, round(w * height / width))), max(1, min(w, round(h * width / height)))
    top, left = (h - kept[0]) // 2, (w - kept[1]) // 2
    notes = []
    if kept != (h, w):
        notes.append(f"centre-cropped {told_size((h, w))} to {told_size(kept)}")
    if kept != size:
        notes.append(f"scaled to {told_size(size)}" if notes else f"scaled {told_size(kept)} to {told_size(size)}")
    return scale_picture(picture[top : top + kept[0], left : left + kept[1]], size), ", ".join(notes)


def _pad_to(picture: Tensor, size: tuple[int, int]) -> tuple[Tensor, str]:
    (h, w), (height, width) = picture.shape[:2], size
    ratio = min(height / h, width / w)
    inner = max(1, min(height, round(h * ratio))), max(1, min(width, round(w * ratio)))
    scaled = scale_picture(picture, inner)
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    notes = []
    if inner != (h, w):
        notes.append(f"scaled {told_size((h, w))} to {told_size(inner)}")
    if inner != size:
        notes.append(f"padded to {told_size(size)}" if notes else f"padded {told_size(inner)} to {told_size(size)}")
    rows = torch.arange(-top, height - top, device=picture.device).clamp(0, inner[0] - 1)
    columns = torch.arange(-left, width - left, device=picture.device).clamp(0, inner[1] - 1)
    return scaled[rows][:, columns], ", ".join(notes)


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


def told_size(size: Sequence[int]) -> str:
    """(height, width) as people write it, width first."""
    return f"{size[1]}×{size[0]}"
