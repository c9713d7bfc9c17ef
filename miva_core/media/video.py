"""Read and write clips, and lay their frames out on one sheet.

Clips are float tensors (F, H, W, 3), RGB in [0, 1].
"""

import errno
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import cycle, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..errors import MIVAError
from ..storage import files
from ..storage.files import replacing, require_file
from .pictures import format_size
from .pixel_values import to_bytes
from .transparency import warn_over_white
from .video_decoding import decode
from .video_times import pace_of_durations, pace_of_times

if TYPE_CHECKING:
    from PIL import Image, ImageFont

VIDEO_EXTENSIONS = (".mp4", ".mov", ".mkv", ".gif", ".webp")
# 10 s of 1080p at 24 frames a second: 6 GB as floats.
MAX_CLIP_PIXELS = 500_000_000
# Common to the encoders and to what players show.
MAX_SIDE = 8192

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


def check_writable(path: str | Path) -> Path:
    """Check, before sampling, that `write_video` will be able to write this file; see `files.check_writable`."""
    return files.check_writable(path, VIDEO_EXTENSIONS)


def write_video(frames: Tensor, path: str | Path, fps: float) -> None:
    """Write a clip; an earlier file of that name is replaced only once the new one is complete.

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
    pixels = _to_bytes(frames, ndim=4)
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
    """A clip as it is coded, upright and of square pixels.

    Attributes:
        frames: (N, …) one of each coded frame.
        fps: frames per second when they are shown evenly, 0 where that is not known.
        repeats: how often each is shown for time to run evenly, None where once.
        opacity: like `frames`, how opaque they are, as grey pictures; None where all are throughout.
        size: (height, width) of the frames as they were read.
        stored_size: the same before their pixels were made square.
    """

    frames: Tensor
    fps: float
    repeats: tuple[int, ...] | None
    opacity: Tensor | None
    size: tuple[int, int]
    stored_size: tuple[int, int]

    def even(self, frames: Tensor) -> Tensor:
        """Such frames, or what belongs to each, (N, …), each as often as it is shown."""
        if self.repeats is None:
            return frames
        return frames.repeat_interleave(torch.tensor(self.repeats), dim=0)


def read_video(path: str | Path) -> tuple[Tensor, float]:
    """Read a whole clip, upright by its rotation mark, its pixels made square.

    Frames that last unevenly are repeated, so that time runs evenly: in a GIF or WebP at the rate of its shortest
    frame, in a video at that of its fastest part. What is transparent is shown over white, with a warning.

    Args:
        path: a video, or an animated GIF, WebP, PNG or AVIF.

    Returns:
        The frames (F, H, W, 3) float32 in [0, 1], and the frames per second.

    Raises:
        MIVAError: no such file, a folder, empty, not a video, damaged, or above `MAX_CLIP_PIXELS`.
    """
    video = open_video(path, lambda frame: frame)
    if video.opacity is not None:
        warn_over_white(str(path))
    return video.even(video.frames), video.fps


def open_video(path: str | Path, each: Callable[[Tensor], Tensor]) -> Video:
    """Like `read_video`, the frames as they are coded, and how opaque they are.

    Args:
        each: applied to every frame, (H, W, 3) float32 in [0, 1], as it is read, so that a long clip needs memory for
            what is left of it alone; it gives tensors of one shape and dtype.
    """
    path = require_file(path, "video")
    collected, coded = Collected(each), []
    for frame in decode(path):
        if collected.size not in (None, frame.pixels.shape[:2]):
            raise MIVAError(f"The video {path} changes its size on the way: convert it to one size first.")
        collected.add(_floats(frame.pixels), None if frame.opacity is None else _floats(frame.opacity))
        coded.append((frame.time, frame.duration))
        _check_length(path, collected, len(coded))
    times, durations = zip(*coded, strict=True)
    if durations[0] is None:
        repeats, fps = pace_of_times(path, times, frame.rate)
    else:
        repeats, fps = pace_of_durations(path, durations)
    _check_length(path, collected, sum(repeats or ()))
    return collected.video(fps, repeats, frame.stored_size)


class Collected:
    """Frames of one size while they are read.

    Attributes:
        each: see `open_video`.
        size: (height, width) of the frames before `each`, None before the first.
        frames: what `each` has made of them.
    """

    def __init__(self, each: Callable[[Tensor], Tensor]) -> None:
        self.each = each
        self.size: tuple[int, int] | None = None
        self.frames: list[Tensor] = []
        self._opacities: list[Tensor | None] = []

    def add(self, frame: Tensor, opacity: Tensor | None) -> None:
        """Take a frame (H, W, 3) and how opaque it is, (H, W), None where all of it is, in [0, 1]."""
        self.size = tuple(frame.shape[:2])
        self.frames.append(self.each(frame))
        self._opacities.append(None if opacity is None else self._grey(opacity))

    def video(self, fps: float, repeats: tuple[int, ...] | None, stored_size: tuple[int, int]) -> Video:
        """All of them; the arguments are as in `Video`."""
        opacity = None
        if any(one is not None for one in self._opacities):
            opaque = self._grey(torch.ones(self.size))
            opacity = torch.stack([opaque if one is None else one for one in self._opacities])
        return Video(torch.stack(self.frames), fps, repeats, opacity, self.size, stored_size)

    def _grey(self, plane: Tensor) -> Tensor:
        return self.each(plane[..., None].expand(-1, -1, 3))


def _floats(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(values)).float().div_(255)


def _check_length(path: Path, collected: Collected, count: int) -> None:
    pixels = collected.frames[0].shape[0] * collected.frames[0].shape[1]
    if count * pixels > MAX_CLIP_PIXELS:
        raise MIVAError(
            f"The video {path} is too long to be read at {format_size(collected.size)}: cut it to "
            f"{MAX_CLIP_PIXELS // pixels} frames or scale it down."
        )


def frames_over_masks(frames: Tensor, masks: Sequence[Tensor]) -> Tensor:
    """A clip above its subjects' masks, each in a colour of its own, to be looked at.

    Args:
        frames: (F, H, W, 3) in [0, 1]. masks: (F, H, W) in [0, 1] of each subject; a later one is on top.

    Returns:
        (F, 2 H, W, 3)
    """
    painted = torch.zeros_like(frames)
    for mask, colour in zip(masks, cycle(MASK_COLOURS)):
        painted = torch.lerp(painted, torch.tensor(colour).expand_as(painted), mask[..., None])
    return torch.cat([frames, painted], dim=1)


def contact_sheet(rows: list[tuple[str, Tensor]], every: int = 2) -> Tensor:
    """Lay clips out on one picture: a labelled row for each, its frames from left to right.

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
    strips = [strip for label, clip in rows for strip in (_label(label), _row(_to_bytes(clip, ndim=4)[::every]))]
    width = max(strip.shape[1] for strip in strips)
    padded = [np.pad(s, ((0, 0), (0, width - s.shape[1]), (0, 0)), constant_values=255) for s in strips]
    return torch.from_numpy(np.concatenate(padded))


def write_png(image: Tensor, path: str | Path) -> None:
    """Write a picture (H, W, 3), uint8 or float in [0, 1], as .png; complete or not at all.

    Raises:
        MIVAError: the picture is not as above, or the file cannot be written.
    """
    from PIL import Image

    path = files.check_writable(path, (".png",))
    pixels = _to_bytes(image / 255 if image.dtype == torch.uint8 else image, ndim=3)
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")


def _to_bytes(values: Tensor, ndim: int) -> np.ndarray:
    """Float pixels (..., H, W, 3) in [0, 1] to uint8, checked."""
    if values.ndim != ndim or values.shape[-1] != 3 or 0 in values.shape or not values.is_floating_point():
        wanted = "A clip (F, H, W, 3)" if ndim == 4 else "A picture (H, W, 3)"
        raise MIVAError(f"{wanted} of floats is needed, but got {tuple(values.shape)} {values.dtype}.")
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


def _save_animation(images: list["Image.Image"], path: Path, fps: float, tick: int, **options: object) -> None:
    """Save with durations in whole ticks of so many ms, rounded so that the clip as a whole keeps its rate."""
    ends = [tick * round(1000 / tick * i / fps) for i in range(len(images) + 1)]
    durations = [end - start for start, end in pairwise(ends)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, loop=0, **options)


def _row(pixels: np.ndarray) -> np.ndarray:
    factor = max(1, math.ceil(_CELL_WIDTH / pixels.shape[2]))
    enlarged = pixels.repeat(factor, axis=1).repeat(factor, axis=2)
    return np.concatenate([np.pad(f, ((0, _GAP), (0, _GAP), (0, 0)), constant_values=255) for f in enlarged], axis=1)


def label_font(size: int) -> "ImageFont.FreeTypeFont":
    """The font of words in pictures, which comes with matplotlib; its size is in pixels."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), size)


def _label(text: str) -> np.ndarray:
    from PIL import Image, ImageDraw

    font = label_font(14)
    width = math.ceil(font.getlength(text)) + 8
    image = Image.new("RGB", (width, _LABEL_HEIGHT), "white")
    ImageDraw.Draw(image).text((4, 2), text, fill="black", font=font)
    return np.asarray(image)
