"""The pictures that clips are made of: held-out photographs and painted ones, larger than the clips."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from miva_core.media.pictures import read_picture
from tools.procedural.backdrops import paint_backdrops

SIDE, ROOM = 512, 768
"""Pixels of a clip's side, and of the picture it is the middle of, so that what lies beyond its edge is known."""


@dataclass(frozen=True)
class Held:
    """A picture the base was not trained on: (ROOM, ROOM, 3) float32, and where it is from."""

    name: str
    large: np.ndarray
    kind: str

    def middle(self, height: int = SIDE, width: int = SIDE) -> Tensor:
        """What a run is given."""
        top, left = (ROOM - height) // 2, (ROOM - width) // 2
        return torch.from_numpy(self.large[top : top + height, left : left + width].copy())


def held_out(folder: Path, count: int) -> list[Held]:
    """The middle squares of the JPEG pictures of a folder, then painted ones of unseen seeds."""
    photographs = [squared(path) for path in sorted(folder.glob("*.jpg"))[:count]]
    return photographs + painted(count - len(photographs))


def squared(path: Path) -> Held:
    picture = read_picture(path).numpy()
    short = min(picture.shape[:2])
    top, left = ((side - short) // 2 for side in picture.shape[:2])
    square = picture[top : top + short, left : left + short]
    how, kind = (cv2.INTER_AREA, "of full size") if short >= ROOM else (cv2.INTER_CUBIC, "enlarged")
    return Held(path.stem, cv2.resize(square, (ROOM, ROOM), interpolation=how).clip(0, 1), kind)


def painted(count: int) -> list[Held]:
    if count <= 0:
        return []
    pictures = rearrange(paint_backdrops(count, ROOM, seed=987_654), "n c h w -> n h w c")
    return [
        Held(f"painted {k + 1}", picture.numpy() / np.float32(255), "painted") for k, picture in enumerate(pictures)
    ]
