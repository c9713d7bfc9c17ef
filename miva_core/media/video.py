"""Read and write clips.

Clips are float tensors (F, H, W, 3), RGB in [0, 1].
"""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..errors import MIVAError
from ..storage import files
from ..storage.files import replacing, require_file
from .pictures import format_size
from .pixel_values import to_bytes
from .video_decoding import decode
from .video_times import pace_of_durations, pace_of_times

if TYPE_CHECKING:
    from PIL import Image

VIDEO_EXTENSIONS = (".mp4", ".mov", ".mkv", ".gif", ".webp")
# 10 s of 1080p at 24 frames a second: 6 GB as floats.
MAX_CLIP_PIXELS = 500_000_000
# Common to the encoders and to what players show.
MAX_SIDE = 8192


def check_writable(path: str | Path) -> Path:
    """Check, before hours of sampling, that `write_video` will be able to write a file; see `files.check_writable`."""
    return files.check_writable(path, VIDEO_EXTENSIONS)


def write_video(frames: Tensor, path: str | Path, fps: float) -> None:
    """Write a clip as a video or an animation; an older file is replaced only once the new one is complete.

    .mp4, .mov and .mkv are H.264 (yuv420p, crf 16; an odd side is made even by repeating the last line); .gif and .webp
    are animations that loop. GIF keeps time in hundredths of a second, so its frames last unevenly at most rates.

    Args:
        frames: (F, H, W, 3) float, sides up to 8192; values are clipped to [0, 1].
        path: the file; its ending selects the format, its folder must exist.
        fps: frames per second, 0.1..240, for GIF at most 50 (players slow down faster ones).

    Raises:
        MIVAError: the clip or `fps` is not as above, or the file cannot be written.
    """
    path = check_writable(path)
    pixels = checked_bytes(frames, ndim=4)
    extension = path.suffix.lower()
    fastest = 50 if extension == ".gif" else 240
    if not 0.1 <= fps <= fastest:
        raise MIVAError(f"A {extension} file cannot play {fps} frames per second: choose from 0.1 to {fastest}.")
    height, width = pixels.shape[1:3]
    if max(height, width) > MAX_SIDE:
        raise MIVAError(f"A clip of {width}×{height} cannot be written: its sides may have up to {MAX_SIDE} pixels.")
    with replacing(path) as temporary:
        if extension == ".gif":
            _write_gif(pixels, temporary, fps)
        elif extension == ".webp":
            _write_webp(pixels, temporary, fps)
        else:
            _write_h264(pixels, temporary, fps)


@dataclass(frozen=True)
class Video:
    """A clip as it is coded, upright and with square pixels.

    Attributes:
        frames: (N, …), one entry for each coded frame.
        fps: frames per second when they are shown at a constant rate, 0 where that is not known.
        repeats: how often each coded frame is shown at that rate, None where once.
        opacity: like `frames`, their opacity as grey pictures; None where it is full everywhere.
        size: (height, width) of the frames as they were read.
        stored_size: the same before their pixels were made square.
    """

    frames: Tensor
    fps: float
    repeats: tuple[int, ...] | None
    opacity: Tensor | None
    size: tuple[int, int]
    stored_size: tuple[int, int]

    def at_constant_rate(self, frames: Tensor) -> Tensor:
        """Repeat frames, or what belongs to each of them, (N, …), as often as they are shown."""
        if self.repeats is None:
            return frames
        return frames.repeat_interleave(torch.tensor(self.repeats), dim=0)


def read_video(path: str | Path, transform: Callable[[Tensor], Tensor]) -> Video:
    """Read a whole clip, upright by its rotation mark, with square pixels.

    Frames may last unevenly; `Video.at_constant_rate` repeats them. The rate is that of the shortest frame in a GIF or
    WebP, and of the fastest part in a video.

    Args:
        path: a video, or an animated GIF, WebP, PNG or AVIF.
        transform: applied to every frame, (H, W, 3) float32 in [0, 1] over white, as soon as it is decoded, so that
            memory holds the results alone; they have one shape and dtype.

    Raises:
        MIVAError: no such file, a folder, empty, not a video, damaged, or above `MAX_CLIP_PIXELS`.
    """
    path = require_file(path, "video")
    frames = FrameCollector(transform)
    times: list[float | None] = []
    durations: list[float] = []
    for coded in decode(path):
        if frames.size not in (None, coded.pixels.shape[:2]):
            raise MIVAError(f"The video {path} changes its size on the way: convert it to one size first.")
        frames.add(_floats(coded.pixels), None if coded.opacity is None else _floats(coded.opacity))
        times.append(coded.time)
        durations += [] if coded.duration is None else [coded.duration]
        _check_length(path, frames, len(times))
    # Frames of animations have durations, those of videos have times.
    repeats, fps = pace_of_durations(path, durations) if durations else pace_of_times(path, times, coded.rate)
    _check_length(path, frames, sum(repeats or ()))
    return frames.video(fps, repeats, coded.stored_size)


class FrameCollector:
    """Collects frames of one size while they are read.

    Attributes:
        transform: see `read_video`.
        size: (height, width) of the frames before `transform`, None before the first.
        frames: the results of `transform`.
    """

    def __init__(self, transform: Callable[[Tensor], Tensor]) -> None:
        self.transform = transform
        self.size: tuple[int, int] | None = None
        self.frames: list[Tensor] = []
        self._opacities: list[Tensor | None] = []

    def add(self, frame: Tensor, opacity: Tensor | None) -> None:
        """Add a frame (H, W, 3) and its opacity (H, W), None where that is full everywhere, both in [0, 1]."""
        height, width = frame.shape[:2]
        self.size = height, width
        self.frames.append(self.transform(frame))
        self._opacities.append(None if opacity is None else self._grey(opacity))

    def video(self, fps: float, repeats: tuple[int, ...] | None, stored_size: tuple[int, int] | None) -> Video:
        """Build the clip of at least one frame.

        Args:
            fps: as in `Video`.
            repeats: as in `Video`.
            stored_size: as in `Video`; None where the pixels are square already.
        """
        if self.size is None:
            raise ValueError("no frame was added")
        opacity = None
        if any(plane is not None for plane in self._opacities):
            opaque = self._grey(torch.ones(self.size))
            opacity = torch.stack([opaque if plane is None else plane for plane in self._opacities])
        return Video(torch.stack(self.frames), fps, repeats, opacity, self.size, stored_size or self.size)

    def _grey(self, plane: Tensor) -> Tensor:
        return self.transform(plane[..., None].expand(-1, -1, 3))


def _floats(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(values)).float().div_(255)


def _check_length(path: Path, collected: FrameCollector, count: int) -> None:
    height, width = collected.frames[0].shape[:2]
    most = MAX_CLIP_PIXELS // (height * width)
    if collected.size and count > most:
        raise MIVAError(
            f"The video {path} is too long to be read at {format_size(collected.size)}: cut it to {most} frames or "
            "scale it down."
        )


def write_png(image: Tensor, path: str | Path) -> None:
    """Write a picture as .png, complete or not at all.

    Args:
        image: (H, W, 3), uint8 or float in [0, 1].
        path: the file; it must end in .png, and its folder must exist.

    Raises:
        MIVAError: the picture is not as above, or the file cannot be written.
    """
    from PIL import Image

    path = files.check_writable(path, (".png",))
    pixels = checked_bytes(image / 255 if image.dtype == torch.uint8 else image, ndim=3)
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")


def checked_bytes(values: Tensor, ndim: int) -> np.ndarray:
    """Check float pixels (..., H, W, 3) and convert them to uint8."""
    if values.ndim != ndim or values.shape[-1] != 3 or 0 in values.shape or not values.is_floating_point():
        expected = "A clip (F, H, W, 3)" if ndim == 4 else "A picture (H, W, 3)"
        raise MIVAError(f"{expected} of floats is needed, but got {tuple(values.shape)} {values.dtype}.")
    values = values.detach().float().cpu()
    if values.isnan().any():
        raise MIVAError("The frames hold NaN: the sampling failed, try float32 or fewer or weaker adapters.")
    return to_bytes(values).numpy()


def _write_h264(pixels: np.ndarray, path: Path, fps: float) -> None:
    import av

    # H.264 with shared colour samples has even sides.
    pixels = np.pad(pixels, ((0, 0), (0, pixels.shape[1] % 2), (0, pixels.shape[2] % 2), (0, 0)), mode="edge")
    rate = Fraction(fps).limit_denominator(1001)
    try:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=rate, options={"crf": "16"})
            stream.height, stream.width = pixels.shape[1:3]
            stream.pix_fmt = "yuv420p"
            # Written and marked as BT.709: players guess the matrix of an unmarked file by its size.
            stream.codec_context.colorspace = stream.codec_context.color_primaries = stream.codec_context.color_trc = 1
            stream.codec_context.color_range = 1
            for i, image in enumerate(pixels):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
                frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
                frame.pts, frame.time_base = i, 1 / rate
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    except (av.FFmpegError, av.codec.codec.UnknownCodecError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO):
            raise
        raise MIVAError(f"The H.264 encoder refused a clip of {pixels.shape[2]}×{pixels.shape[1]}: {error}.") from error


def _write_gif(pixels: np.ndarray, path: Path, fps: float) -> None:
    from PIL import Image

    # One palette, from frames all over the clip: palettes of their own make still backgrounds flicker.
    chosen = pixels[np.unique(np.linspace(0, len(pixels) - 1, 8).round().astype(int))]
    palette = Image.fromarray(np.concatenate(chosen)).quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=1)
    images = [Image.fromarray(image).quantize(palette=palette) for image in pixels]
    _save_animation(images, path, fps, tick=10, optimize=False)


def _write_webp(pixels: np.ndarray, path: Path, fps: float) -> None:
    from PIL import Image

    _save_animation([Image.fromarray(image) for image in pixels], path, fps, tick=1, quality=92)


def _save_animation(images: list["Image.Image"], path: Path, fps: float, tick: int, **options: Any) -> None:
    """Save with durations in multiples of `tick` ms, rounded so that the clip as a whole keeps its rate."""
    ends = [tick * round(1000 / tick * i / fps) for i in range(len(images) + 1)]
    durations = [end - start for start, end in pairwise(ends)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, loop=0, **options)
