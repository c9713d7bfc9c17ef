"""Decode picture files: by Pillow, or by OpenCV what Pillow cannot hold. Slight damage is tolerated."""

import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ..errors import MIVAError, MIVAWarning
from ..storage.files import looks_like
from .pixel_values import MIN_SIDE

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 100_000_000

# Raster formats only: others that Pillow knows run programs (EPS), need plug-ins, or draw vectors.
_PILLOW_FORMATS = (
    *("PNG", "JPEG", "WEBP", "AVIF", "JPEG2000", "TIFF", "BMP", "DIB", "GIF", "ICO", "PPM", "TGA", "QOI"),
    *("PSD", "PCX", "SGI", "DDS"),
)
_MOST_LOST = 0.5
"""The share of its rows that a picture may lack; one that lacks more is hardly the one that was meant."""
_BOTTOM_UP = ("BMP", "DIB", "TGA", "SGI")
_pillow_lock = threading.Lock()


@dataclass(frozen=True)
class DecodedPicture:
    """A decoded picture, turned upright by its EXIF orientation.

    Attributes:
        pixels: (H, W) or (H, W, C) as stored, RGB order: uint8, uint16 or float32.
        size: (height, width) in the file; the pixels may be scaled down from it.
    """

    pixels: np.ndarray
    size: tuple[int, int]


def decode_picture(path: Path, needed_side: int | None = None) -> DecodedPicture:
    """Decode a picture file that exists and is not empty.

    Damage that leaves the picture recognisable gives a `MIVAWarning`: the last rows are missing, up to half of them, or
    only metadata is damaged or too long.

    Args:
        path: the file.
        needed_side: pixels that suffice along the shorter side. A picture that has many more is scaled down while it is
            decoded, to no less than twice as many; None keeps every picture at its size.

    Raises:
        MIVAError: not a picture, damaged, above 100 megapixels (refused before decoding), below 8 pixels a side, or
            more than the memory holds.
    """
    try:
        with path.open("rb") as file:
            return _decode_by_pillow(file, path, needed_side) or _decode_by_opencv(file, path, needed_side)
    except MemoryError as error:
        raise MIVAError(
            f"There is not enough memory to decode the picture {path}: scale it down, or copy or download it again."
        ) from error


def _decode_by_pillow(file: BinaryIO, path: Path, needed_side: int | None) -> DecodedPicture | None:
    """Decode a file by Pillow; None if Pillow does not know its format."""
    from PIL import UnidentifiedImageError

    try:
        return _upright(*_loaded(file, path, needed_side, lenient=False), needed_side)
    except (MIVAError, MemoryError):
        raise
    except Exception as error:  # decoders meet damage with a dozen kinds of exception
        lacks_pixels = isinstance(error, OSError) and not isinstance(error, UnidentifiedImageError)
    file.seek(0)
    try:
        image, stored = _loaded(file, path, needed_side, lenient=True)
        lost = _missing_rows(image) if lacks_pixels else 0
        decoded = _upright(image, stored, needed_side)
    except (MIVAError, MemoryError):
        raise
    except UnidentifiedImageError:
        return None
    except Exception as error:  # as above
        raise MIVAError(_damaged(path)) from error
    if lost > _MOST_LOST:
        raise MIVAError(_damaged(path))
    warnings.warn(_mended(path, lacks_pixels, lost), MIVAWarning, stacklevel=5)
    return decoded


def _loaded(
    file: BinaryIO, path: Path, needed_side: int | None, lenient: bool
) -> tuple["Image.Image", tuple[int, int]]:
    """Load a picture as it is stored, and its (width, height) in the file."""
    from PIL import Image

    Image.init()
    formats = [name for name in _PILLOW_FORMATS if name in Image.OPEN]  # older releases know no AVIF
    with _leniency(lenient), warnings.catch_warnings():
        # Our own limit is an error; Pillow would warn at another one.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            image = Image.open(file, formats=formats)
        except Image.DecompressionBombError as error:
            raise MIVAError(_too_large(path, "far")) from error
        stored = width, height = image.size
        _check_size(width, height, path)
        # JPEG can be decoded at a half, a quarter or an eighth of its size.
        if (surplus := _surplus(stored, needed_side)) > 1:
            image.draft(None, (width // surplus, height // surplus))
        image.load()
    return image, stored


def _upright(image: "Image.Image", stored: tuple[int, int], needed_side: int | None) -> DecodedPicture:
    from PIL import ExifTags, ImageOps

    width, height = stored
    turned = image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
    ImageOps.exif_transpose(image, in_place=True)
    return DecodedPicture(_pixels(image, needed_side), stored if turned else (height, width))


@contextmanager
def _leniency(lenient: bool) -> Iterator[None]:
    """Set whether Pillow loads damaged files, for a while; Pillow has one such setting for the whole process.

    A setting that is right already is left alone, since other threads may change it meanwhile.
    """
    from PIL import ImageFile

    with _pillow_lock:
        before = ImageFile.LOAD_TRUNCATED_IMAGES
        if before == lenient:
            yield
            return
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before


def _missing_rows(image: "Image.Image") -> float:
    """The share of rows at the end of a stored picture that look like those a decoder did not reach.

    Rows of the picture itself that have this very colour, black or mid grey, are counted too.
    """
    pixels = np.asarray(image)
    rows = pixels.reshape(len(pixels), -1)
    if image.format in ("JPEG", "MPO"):
        # Of a baseline file the rest is mid grey, which Pillow turns round in CMYK; of a progressive one all is black.
        return _share_at_end((rows == 128 - (image.mode == "CMYK")).all(1)) if rows.any() else 1.0
    unreached = (rows == 0).all(1)
    # Some formats begin with the lowest row.
    return max(_share_at_end(unreached), _share_at_end(unreached[::-1]) if image.format in _BOTTOM_UP else 0)


def _share_at_end(marked: np.ndarray) -> float:
    """The length of the run of true values at the end of (N,) booleans, as a share of all."""
    return float(np.logical_and.accumulate(marked[::-1]).mean())


def _mended(path: Path, lacks_pixels: bool, lost: float) -> str:
    if not lacks_pixels:
        return f"What is written beside the pixels of {path}, such as a text, is damaged or too long: it was left out."
    share = f"{lost:.1%} of it" if lost else "its end"
    return f"The picture {path} is damaged or cut short, {share} is missing: copy or download it again if that shows."


def _pixels(image: "Image.Image", needed_side: int | None) -> np.ndarray:
    """Pixels of a loaded Pillow image: uint8 (H, W) or (H, W, 3 or 4), or 16 and 32 bits (H, W)."""
    if image.mode.startswith("I;16"):
        return _shrunk(np.asarray(image).astype(np.uint16), needed_side)
    if image.mode in ("I", "F"):
        values = np.asarray(image)
        # Pillow widens some 16-bit files to 32 bits.
        widened = values.dtype.kind == "i" and values.min() >= 0 and values.max() <= 65535
        return _shrunk(values.astype(np.uint16) if widened else values, needed_side)
    mode = "RGBA" if image.has_transparency_data else "L" if image.mode == "L" else "RGB"
    image = image if image.mode == mode else image.convert(mode)
    surplus = _surplus(image.size, needed_side)
    return np.asarray(image.reduce(surplus) if surplus > 1 else image)


def _surplus(size: tuple[int, ...], needed_side: int | None) -> int:
    """The integer by which a size can be divided so that twice as many pixels as needed are left."""
    return max(1, min(size) // (2 * needed_side)) if needed_side else 1


def _shrunk(pixels: np.ndarray, needed_side: int | None) -> np.ndarray:
    """Scale pixels (H, W) or (H, W, C) down to what is needed; not with opacity, by which colours would mix."""
    import cv2

    surplus = _surplus(pixels.shape[:2], needed_side)
    if surplus == 1 or pixels.shape[2:] == (4,) or pixels.dtype not in (np.uint16, np.float32):
        return pixels
    if pixels.dtype == np.float32:
        # Before pixels are averaged, by which one far above white would spread.
        pixels = np.nan_to_num(pixels, nan=0, posinf=1, neginf=0).clip(0, 1)
    return cv2.resize(pixels, None, fx=1 / surplus, fy=1 / surplus, interpolation=cv2.INTER_AREA)


def _decode_by_opencv(file: BinaryIO, path: Path, needed_side: int | None) -> DecodedPicture:
    """Decode the float formats that Pillow cannot hold."""
    import cv2

    size = _float_picture_size(file)
    if size is None:
        raise MIVAError(
            f"{path} is not a picture that can be read, it looks like {looks_like(path)}: copy it again, or export it "
            "as PNG or JPEG."
        )
    _check_size(*size, path)
    file.seek(0)
    try:
        pixels = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
        if pixels is None:
            raise MIVAError(_damaged(path))
        if pixels.ndim == 3:
            pixels = cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB)
    except cv2.error as error:
        raise MIVAError(_damaged(path)) from error
    return DecodedPicture(_shrunk(pixels, needed_side), pixels.shape[:2])


def _float_picture_size(file: BinaryIO) -> tuple[int, int] | None:
    """The (width, height) in the header of a Radiance, PFM or TIFF file, None for any other."""
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


def _check_size(width: int, height: int, path: Path) -> None:
    if width * height > MAX_PIXELS:
        raise MIVAError(_too_large(path, f"{width}×{height},"))
    if min(width, height) < MIN_SIDE:
        raise MIVAError(f"The picture {path} is {width}×{height}: each side must have at least {MIN_SIDE} pixels.")


def _too_large(path: Path, size: str) -> str:
    return f"The picture {path} is {size} over the limit of {MAX_PIXELS // 10**6} megapixels: scale it down first."


def _damaged(path: Path) -> str:
    return f"The picture {path} is damaged or cut short: copy or download it again."
