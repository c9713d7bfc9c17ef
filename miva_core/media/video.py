"""Read and write clips.

Clips are float tensors (F, H, W, 3), RGB in [0, 1].
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import MIVAError
from ..storage import files
from ..storage.files import replacing, require_file
from .pictures import format_size
from .pixel_values import to_bytes
from .video_decoding import decode
from .video_encoding import encoder
from .video_times import pace_of_durations, pace_of_times

_ANIMATIONS = (".gif", ".webp")
VIDEO_EXTENSIONS = (".mp4", ".mov", ".mkv", *_ANIMATIONS)
# 10 s of 1080p at 24 frames a second: 6 GB as floats.
MAX_CLIP_PIXELS = 500_000_000
# Common to the encoders and to what players show.
MAX_SIDE = 8192


def check_writable(path: str | Path) -> Path:
    """Check, before hours of sampling, that `write_video` will be able to write a file; see `files.check_writable`."""
    return files.check_writable(path, VIDEO_EXTENSIONS)


def check_rate(path: Path, fps: float) -> None:
    """Check that a file can play so many frames per second.

    The range is 0.1 to 240, for GIF 0.1 to 50, since players slow down faster ones.

    Raises:
        MIVAError: it cannot.
    """
    extension = path.suffix.lower()
    fastest = 50 if extension == ".gif" else 240
    if not 0.1 <= fps <= fastest:
        nearest = f"at most {fastest}" if fps > fastest else "at least 0.1"
        raise MIVAError(f"A {extension} file cannot play {fps:g} frames per second: choose {nearest}.")


def check_length(path: Path, size: tuple[int, int], frames: int) -> None:
    """Check that the memory holds an animation; a video of any length is written frame by frame.

    Args:
        path: the file; its ending selects the format.
        size: (height, width) of the clip.
        frames: its length.

    Raises:
        MIVAError: it is a GIF or WebP of more than `MAX_CLIP_PIXELS`.
    """
    extension, most = path.suffix.lower(), MAX_CLIP_PIXELS // (size[0] * size[1])
    if extension in _ANIMATIONS and frames > most:
        raise MIVAError(
            f"A {extension} file of {format_size(size)} can have up to {most} frames, but more were asked for: write "
            "an .mp4, a shorter clip or a smaller one."
        )


def write_video(frames: Iterable[Tensor], path: str | Path, fps: float) -> None:
    """Write a clip as a video or an animation; an older file is replaced only once the new one is complete.

    .mp4, .mov and .mkv are H.264 (yuv420p, crf 16; an odd side is made even by repeating the last line); .gif and .webp
    are animations that loop. GIF keeps time in hundredths of a second, so its frames last unevenly at most rates. WebP
    is lossy, of quality 80: 92 would make two seconds at full size 8 MB, too much for a page.

    Args:
        frames: each (H, W, 3) float, sides up to 8192; values are clipped to [0, 1]. A tensor (F, H, W, 3), or what
            makes one after another: of a video only some are held in memory, of an animation all, in bytes.
        path: the file; its ending selects the format, its folder must exist.
        fps: frames per second, see `check_rate`.

    Raises:
        MIVAError: the clip or `fps` is not as above, or the file cannot be written.
    """
    with video_writer(path, fps) as add:
        for frame in frames:
            add(frame)


@contextmanager
def video_writer(path: str | Path, fps: float) -> Iterator[Callable[[Tensor], None]]:
    """Write a clip as `write_video` does, frame by frame, so that several files can grow together.

    The file is there once the block has ended well, and not at all otherwise.

    Args:
        path: as in `write_video`.
        fps: as in `write_video`.

    Yields:
        A function that takes the next frame, (H, W, 3) float.

    Raises:
        MIVAError: as from `write_video`.
    """
    path = check_writable(path)
    check_rate(path, fps)
    size: tuple[int, int] | None = None
    count = 0
    with replacing(path) as temporary, encoder(temporary, fps) as encode:

        def add(frame: Tensor) -> None:
            nonlocal size, count
            pixels = checked_bytes(frame, ndim=3)
            size = _checked_size(pixels, size)
            count += 1
            check_length(path, size, count)
            encode(pixels)

        yield add
        if not count:
            raise MIVAError("A clip (F, H, W, 3) of floats is needed, but got one without frames.")


def _checked_size(pixels: np.ndarray, before: tuple[int, int] | None) -> tuple[int, int]:
    """The (height, width) of a frame, which must be that of the frames before, if there were any."""
    height, width = pixels.shape[:2]
    if before not in (None, (height, width)):
        raise MIVAError(f"A clip has one size, but a frame of {width}×{height} follows one of {format_size(before)}.")
    if max(height, width) > MAX_SIDE:
        raise MIVAError(f"A clip of {width}×{height} cannot be written: its sides may have up to {MAX_SIDE} pixels.")
    return height, width


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
