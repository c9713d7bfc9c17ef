"""Clips whose motion is known, of pictures that are known at every place."""

import numpy as np
import torch
from torch import Tensor

from miva_core.clips.camera import UNIT_MOVES, CameraMove, film, move_transforms

SIZE = (64, 96)


def speckled(seed: int, side: int = 200) -> Tensor:
    """A picture (side, side, 3) with detail of several sizes, everywhere another."""
    generator = torch.Generator().manual_seed(seed)
    planes = [
        torch.nn.functional.interpolate(torch.rand(1, 3, n, n, generator=generator), (side, side), mode="bicubic")
        for n in (8, 25, 70)
    ]
    return (sum(planes, torch.zeros(1, 3, side, side)) / 3).clamp(0, 1)[0].permute(1, 2, 0).contiguous()


def filmed(move: CameraMove | str, seed: int = 0, frames: int = 6, size: tuple[int, int] = SIZE) -> Tensor:
    """A clip (F, H, W, 3) of a camera over a speckled picture."""
    chosen = UNIT_MOVES[move] if isinstance(move, str) else move
    picture = speckled(seed).permute(2, 0, 1)[None]
    return film(picture, move_transforms(chosen, 1.0, frames), *size)[0].permute(0, 2, 3, 1).contiguous()


def disc(row: float, column: float, radius: float, size: tuple[int, int] = SIZE) -> Tensor:
    """A mask (H, W)."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    return torch.from_numpy((np.hypot(rows - row, columns - column) < radius).astype(np.float32))


def walking(step: int, seed: int = 0, frames: int = 6) -> tuple[Tensor, Tensor]:
    """A clip (F, H, W, 3) of a speckled disc that goes to the right over a ground at rest, and its masks (F, H, W)."""
    height, width = SIZE
    ground, subject = speckled(seed)[:height, :width], speckled(seed + 1)[:height, :width]
    masks = torch.stack([disc(32, 30 + step * i, 14) for i in range(frames)])
    moved = torch.stack([subject.roll(step * i, 1) for i in range(frames)])
    return torch.where(masks[..., None] > 0, moved, ground), masks
