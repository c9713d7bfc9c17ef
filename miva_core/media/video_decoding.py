"""Decode the frames of videos by FFmpeg, and of animated pictures by Pillow."""

import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from ..errors import MIVAError, MIVAWarning
from ..storage.files import looks_like
from .picture_decoding import MAX_PIXELS
from .transparency import OPAQUE

if TYPE_CHECKING:
    from av import Packet, VideoCodecContext, VideoFrame, VideoStream
    from av.container import InputContainer
    from PIL import Image

# Containers that hold their own pixels. FFmpeg would also play text, single pictures, and lists of other files or URLs.
_CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegvideo,flv,ogg,asf"
# FFmpeg's own decoders of these leave out the second stream that holds their opacity.
_DECODERS_WITH_OPACITY = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_OBLONGEST = 8
# Twice that of 8K. Damaged headers claim a million.
_MAX_SIDE = 16384
# Pillow's formats by what `looks_like` calls them; only newer releases know the last.
_ANIMATIONS = {"a GIF picture": "GIF", "a WebP picture": "WEBP", "a PNG picture": "PNG", "an AVIF picture": "AVIF"}


@dataclass(frozen=True)
class CodedFrame:
    """A frame of a video, upright and with square pixels.

    Attributes:
        pixels: (H, W, 3) uint8, over white where it is transparent.
        opacity: (H, W) uint8, None where it is full everywhere.
        stored_size: (height, width) before pixels were made square.
        time: when it begins, in seconds; None where the file does not say.
        duration: how long it is shown, in seconds; None in videos, whose frames last until the next one.
        rate: frames per second that the file names, 0 where it names none.
    """

    pixels: np.ndarray
    opacity: np.ndarray | None
    stored_size: tuple[int, int]
    time: float | None = None
    duration: float | None = None
    rate: float = 0.0


def decode(path: Path) -> Iterator[CodedFrame]:
    """Decode the frames of a video, or of an animated GIF, WebP, PNG or AVIF, one after the other.

    Args:
        path: a file that exists and is not empty.

    Raises:
        MIVAError: it is no video, is damaged, or its frames are above 100 megapixels or 16384 pixels a side.
    """
    kind = looks_like(path)
    frames = _decode_animation(path, kind) if kind in _ANIMATIONS else _decode_video(path)
    count = 0
    try:
        for frame in frames:
            yield frame
            count += 1
    except MIVAError:
        raise
    except MemoryError as error:
        raise MIVAError(
            f"There is not enough memory to decode the video {path}: scale it down, or copy or download it again."
        ) from error
    except Exception as error:  # decoders meet damaged data with a dozen kinds of exception
        if count or kind in (*_ANIMATIONS, "a video"):
            raise MIVAError(f"The video {path} is damaged or cut short: copy or download it again.") from error
        raise MIVAError(f"{path} is not a video that can be read: it looks like {kind}.") from error
    if not count:
        raise MIVAError(f"The video {path} holds no frames: copy or download it again.")


def is_animation(path: Path) -> bool:
    """Whether this is an animated GIF, WebP, PNG or AVIF; a file that cannot be read is none."""
    from PIL import Image

    # Opening a pipe may wait for ever.
    if not path.is_file():
        return False
    with suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(path, formats=tuple(_ANIMATIONS.values())) as image:
            return image.is_animated
    return False


def _decode_animation(path: Path, kind: str) -> Iterator[CodedFrame]:
    from PIL import Image

    Image.init()
    if _ANIMATIONS[kind] not in Image.OPEN:
        raise MIVAError(
            f"{path} looks like {kind}, which this release of Pillow cannot read: update Pillow, or convert the file."
        )
    with warnings.catch_warnings():
        # Our own limit is an error; Pillow would warn at another one.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = Image.open(path, formats=[_ANIMATIONS[kind]])
    with image:
        count = getattr(image, "n_frames", 1)
        if count == 1 and kind != "a GIF picture":
            raise MIVAError(f"{path} is not a video: it is a still {_ANIMATIONS[kind]} picture.")
        _check_size(path, image.width, image.height)
        size = image.size
        # A PNG may have a picture in front, for programs that do not animate it.
        for i in range(int(getattr(image, "default_image", False)), count):
            image.seek(i)
            # A frame that sticks out, which damaged ones do by far, makes the picture larger.
            if image.size != size:
                raise MIVAError(f"The video {path} is damaged: its frame {i + 1} is larger than the ones before it.")
            pixels, opacity = _over_white(image)
            # Browsers show frames without a duration for 100 ms.
            duration = (image.info.get("duration") or 100) / 1000
            yield CodedFrame(pixels, opacity, pixels.shape[:2], duration=duration)


def _decode_video(path: Path) -> Iterator[CodedFrame]:
    import av

    options = {"format_whitelist": _CONTAINERS, "max_pixels": str(MAX_PIXELS)}
    with av.open(str(path.absolute()), options=options, metadata_errors="replace") as container:
        if not container.streams.video:
            raise MIVAError(f"{path} is not a video: it holds no pictures, only sound or data.")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise MIVAError(f"The video {path} is coded in a way that is not known here: convert it to H.264 first.")
        _check_size(path, stream.width, stream.height)
        decoder = _decoder(path, stream)
        ratio = _pixel_ratio(path, stream)
        rate = float(stream.average_rate or stream.guessed_rate or 0)
        for packet in _packets(container, stream):
            for frame in decoder.decode(packet):
                _check_size(path, frame.width, frame.height)
                yield _upright(frame, ratio, rate)


def _packets(container: "InputContainer", stream: "VideoStream") -> Iterator["Packet"]:
    # PyAV stumbles over streams that were found on the way, but only after the last packet of the ones it knows.
    with suppress(IndexError):
        yield from container.demux(stream)


def _decoder(path: Path, stream: "VideoStream") -> "VideoCodecContext":
    """The decoder of a stream; where FFmpeg's default one drops opacity, another that reads it."""
    import av

    default = stream.codec_context
    name = _DECODERS_WITH_OPACITY.get(stream.codec.canonical_name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        return default
    if name not in av.codecs_available:
        text = f"What is transparent in {path} cannot be read, since this FFmpeg lacks {name}: its colours are used."
        warnings.warn(text, MIVAWarning, stacklevel=2)
        return default
    decoder = cast("VideoCodecContext", av.CodecContext.create(name, "r"))
    decoder.extradata = default.extradata
    return decoder


def _pixel_ratio(path: Path, stream: "VideoStream") -> Fraction:
    """Width over height with which pixels are to be shown."""
    ratio = stream.sample_aspect_ratio or Fraction(1)
    if 1 / _OBLONGEST <= ratio <= _OBLONGEST:
        return ratio
    text = f"The pixels of {path} are marked as {ratio} times as wide as high: they are taken as square."
    warnings.warn(text, MIVAWarning, stacklevel=2)
    return Fraction(1)


def _upright(frame: "VideoFrame", ratio: Fraction, rate: float) -> CodedFrame:
    from PIL import Image

    # A palette may hold opacity.
    transparent = frame.format.has_palette or any(component.is_alpha for component in frame.format.components)
    image = Image.fromarray(frame.to_ndarray(format="rgba" if transparent else "rgb24"))
    size = _square_pixel_size(frame.width, frame.height, ratio)
    quarters = round(frame.rotation / 90)

    def upright(plane: np.ndarray) -> np.ndarray:
        if ratio != 1:
            plane = np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC))
        return np.rot90(plane, quarters)

    pixels, opacity = _over_white(image)
    stored = (frame.width, frame.height) if quarters % 2 else (frame.height, frame.width)
    return CodedFrame(upright(pixels), None if opacity is None else upright(opacity), stored, frame.time, None, rate)


def _over_white(image: "Image.Image") -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels over white, (H, W, 3) uint8, and opacity, (H, W) uint8, None where it is full everywhere."""
    from PIL import Image

    if not image.has_transparency_data:
        return np.asarray(image.convert("RGB")), None
    image = image.convert("RGBA")
    opacity = np.asarray(image.getchannel("A"))
    if opacity.min() >= OPAQUE:
        return np.asarray(image.convert("RGB")), None
    over = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(over.convert("RGB")), opacity


def _square_pixel_size(width: int, height: int, ratio: Fraction) -> tuple[int, int]:
    """The (width, height) of a picture once its pixels are square; the longer side keeps its number of pixels."""
    if width * ratio >= height:
        return width, max(1, round(height / ratio))
    return max(1, round(width * ratio)), height


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS or max(width, height) > _MAX_SIDE:
        raise MIVAError(
            f"The video {path} is {width}×{height}, over the limit of {MAX_PIXELS // 10**6} megapixels or {_MAX_SIDE} "
            "a side: scale it down first."
        )
