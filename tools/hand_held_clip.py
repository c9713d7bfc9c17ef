"""Film the clip of the workflows that take a motion over: somebody walks up to Petra, the camera in their hands.

    python -m tools.hand_held_clip [--out FILE]

It is filmed over a still, so that nobody has to be asked for a clip, and its motion is known.
"""

import argparse
import math
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from torch import Tensor

from miva_core.clips.camera import camera_transforms
from miva_core.media.pictures import read_picture
from miva_core.media.pixel_values import to_bytes
from miva_core.storage.files import replacing

PICTURES = Path(__file__).parents[1] / "workflows" / "pictures"
SIZE, FPS, FRAMES = (288, 512), 16, 33
"""What Wan takes: 4 k + 1 frames, 16 a second."""
NEARER = 1.2
"""How much larger things are in the last frame."""
STEPS = 2.0
"""A second."""
SWAY, BOB, TILT = 7.0, 4.0, math.radians(0.6)
"""Pixels to a side at every other step, pixels up at each, and how far the camera leans with the sway."""


def walk() -> np.ndarray:
    """The affine maps (FRAMES, 2, 3) of pixels of a frame to places of frame 1, off the centre."""
    phase = torch.arange(FRAMES) / FPS * STEPS * torch.pi
    share = torch.arange(FRAMES) / (FRAMES - 1)
    # One map a frame, as the end of a move of two frames.
    pan = torch.stack([SWAY * phase.sin(), -BOB * phase.sin() ** 2], dim=-1)
    maps = camera_transforms(pan, share * math.log(NEARER), TILT * phase.sin(), 2)
    return maps[:, 1].numpy()


def film(picture: Tensor) -> Tensor:
    """(FRAMES, *SIZE, 3) in [0, 1] of a picture (H, W, 3): its middle, with room around it for the way."""
    source = picture.numpy()
    scale = 0.92 * min(source.shape[0] / SIZE[0], source.shape[1] / SIZE[1])
    centre, middle = (np.array(size[::-1]) / 2 - 0.5 for size in (source.shape[:2], SIZE))
    frames = []
    for one in walk():
        turn, shift = scale * one[:, :2], centre + scale * one[:, 2]
        place = np.column_stack([turn, shift - turn @ middle])
        # Twice as large, then averaged: fine lines would flicker, and be taken for motion.
        place[:, :2] /= 2
        large = cv2.warpAffine(source, place, (2 * SIZE[1], 2 * SIZE[0]), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        frames.append(cv2.resize(large, SIZE[::-1], interpolation=cv2.INTER_AREA))
    return torch.from_numpy(np.stack(frames)).clamp(0, 1)


def write_small(frames: Tensor, path: Path) -> None:
    """An mp4 of frames (F, H, W, 3), coarser than the pack's own: the repository keeps it."""
    with replacing(path) as temporary, av.open(temporary, "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "23", "preset": "veryslow"})
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuv420p"
        for pixels in to_bytes(frames).numpy():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(stream.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=PICTURES / "miva_hand_held.mp4")
    out = parser.parse_args().out
    write_small(film(read_picture(PICTURES / "miva_petra.jpg")), out)
    print(f"{out}: {out.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
