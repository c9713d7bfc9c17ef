"""Encode frames, one after another, into the file of a clip: H.264, GIF or WebP."""

import errno
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import MIVAError

if TYPE_CHECKING:
    from PIL import Image

AddFrame = Callable[[np.ndarray], None]
"""Takes the next frame, (H, W, 3) uint8; all have one size."""

_PALETTE_PIXELS = 500_000
"""More do not change the palette of a GIF, but take seconds."""


def encoder(path: Path, fps: float) -> AbstractContextManager[AddFrame]:
    """Open a file for frames; it is complete once the block has ended well.

    H.264 needs the memory of about ten frames. Animations are held in bytes until the end: a GIF, since one palette is
    chosen for the whole clip, a WebP, since Pillow asks for all of it at once.

    Args:
        path: whose ending selects the format.
        fps: frames per second.
    """
    return {".gif": _gif, ".webp": _webp}.get(path.suffix.lower(), _h264)(path, fps)


@contextmanager
def _h264(path: Path, fps: float) -> Iterator[AddFrame]:
    import av

    rate = Fraction(fps).limit_denominator(1001)
    size, count = (0, 0), 0

    @contextmanager
    def refusals() -> Iterator[None]:
        try:
            yield
        except (av.FFmpegError, av.codec.codec.UnknownCodecError) as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO):
                raise
            raise MIVAError(f"The H.264 encoder refused a clip of {size[1]}×{size[0]}: {error}.") from error

    def add(pixels: np.ndarray) -> None:
        nonlocal size, count
        height, width = size = pixels.shape[:2]
        # H.264 with shared colour samples has even sides.
        pixels = np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        with refusals():
            if not count:
                stream.height, stream.width = pixels.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            frame.pts, frame.time_base = count, 1 / rate
            container.mux(stream.encode(frame))
        count += 1

    with refusals(), av.open(str(path), "w") as container:
        # By default it looks 40 frames ahead, which are 300 MB at 1080p.
        stream = container.add_stream("libx264", rate=rate, options={"crf": "16", "rc-lookahead": "10"})
        stream.pix_fmt = "yuv420p"
        # Written and marked as BT.709: players guess the matrix of an unmarked file by its size.
        stream.codec_context.colorspace = stream.codec_context.color_primaries = stream.codec_context.color_trc = 1
        stream.codec_context.color_range = 1
        yield add
        container.mux(stream.encode())


@contextmanager
def _gif(path: Path, fps: float) -> Iterator[AddFrame]:
    from PIL import Image

    frames: list[np.ndarray] = []
    yield frames.append
    palette = _palette(frames)
    images = (Image.fromarray(pixels).quantize(palette=palette) for pixels in frames)
    _save_animation(images, len(frames), path, fps, tick=10, optimize=False)


def _palette(frames: list[np.ndarray]) -> "Image.Image":
    """One palette, from frames all over the clip: palettes of their own make still backgrounds flicker."""
    from PIL import Image

    chosen = [frames[i] for i in np.unique(np.linspace(0, len(frames) - 1, 8).round().astype(int))]
    every = max(1, round((sum(pixels.size / 3 for pixels in chosen) / _PALETTE_PIXELS) ** 0.5))
    sampled = np.concatenate([pixels[::every, ::every] for pixels in chosen])
    return Image.fromarray(sampled).quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=1)


@contextmanager
def _webp(path: Path, fps: float) -> Iterator[AddFrame]:
    from PIL import Image

    images: list[Image.Image] = []
    yield lambda pixels: images.append(Image.fromarray(pixels))
    _save_animation(iter(images), len(images), path, fps, tick=1, quality=80)


def _save_animation(
    images: "Iterator[Image.Image]", count: int, path: Path, fps: float, tick: int, **options: Any
) -> None:
    """Save with durations in multiples of `tick` ms, rounded so that the clip as a whole keeps its rate."""
    ends = [tick * round(1000 / tick * i / fps) for i in range(count + 1)]
    durations = [end - start for start, end in pairwise(ends)]
    next(images).save(path, save_all=True, append_images=images, duration=durations, loop=0, **options)
