"""Videos as cameras, screen recorders and editors write them."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from torch import Tensor

from miva_core.media.video import read_video

TRANSPARENT = [
    ("a.mov", "qtrle", "argb"),
    ("a.mov", "png", "rgba"),
    ("a.mov", "prores_ks", "yuva444p10le"),
    ("a.mkv", "ffv1", "bgra"),
    ("a.webm", "libvpx-vp9", "yuva420p"),
    ("a.webm", "libvpx", "yuva420p"),
]
"""A file, a codec and the format of its pixels, for videos that hold opacity."""


def encode(
    path: Path,
    frames: np.ndarray,
    codec: str,
    pixels: str,
    times: Sequence[int],
    rate: int,
    aspect: Fraction | None = None,
    options: Mapping[str, str] | None = None,
    title: str = "",
    quarters: int = 0,
) -> None:
    """Write a video by hand.

    Args:
        frames: (N, H, W, 3 or 4) uint8, RGB with or without opacity.
        times: when frames begin, in units of 1 / rate seconds.
        aspect: how many times as wide as high a pixel is marked to be.
        options: of the container.
        quarters: of a turn counter-clockwise by which it is marked to be shown.
    """
    # By itself this encoder puts in frames that are not shown, which have no opacity.
    settings = {"auto-alt-ref": "0"} if codec == "libvpx" else {"crf": "10"}
    with av.open(str(path), "w", options=dict(options or {})) as container:
        container.metadata["title"] = title
        stream = container.add_stream(codec, rate=rate, options=settings)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        stream.codec_context.time_base = Fraction(1, rate)
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if quarters:
            stream.set_display_rotation(90 * quarters)
        for image, time in zip(frames, times, strict=True):
            layout = "rgba" if image.shape[-1] == 4 else "rgb24"
            frame = av.VideoFrame.from_ndarray(image, format=layout).reformat(format=pixels)
            frame.pts, frame.time_base = time, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def read_at_constant_rate(path: Path) -> tuple[Tensor, float]:
    """The frames (F, H, W, 3) of a video, each as often as it is shown, and their number a second."""
    video = read_video(path, lambda frame: frame)
    return video.at_constant_rate(video.frames), video.fps


def cut_out(frames: int = 6, height: int = 48, width: int = 64) -> np.ndarray:
    """(F, H, W, 4) uint8: a blue square that grows by a row in each frame, and nothing but leftover red around it."""
    pixels = np.zeros((frames, height, width, 4), np.uint8)
    pixels[..., 0] = 255
    for i, frame in enumerate(pixels):
        frame[8 : 30 + 2 * i, 16:48] = (0, 0, 255, 255)
    return pixels
