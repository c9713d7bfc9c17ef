"""Exact coarse flows, and pictures that are known at every point."""

import numpy as np
import torch
from torch import Tensor

from miva_core.clips.camera import CameraMove, apply_affine, move_transforms, pixel_grid

FRAMES = 16


def exact_flow(move: CameraMove, height: int = 24, width: int = 24, frames: int = FRAMES) -> Tensor:
    """The backward flow (F, 2, h, w) of a camera."""
    grid = pixel_grid(height, width)
    return (apply_affine(move_transforms(move, 1.0, frames), grid) - grid)[0].permute(0, 3, 1, 2)


def by_place(flow: Tensor) -> np.ndarray:
    """A flow (F, 2, h, w) as (F, h, w, 2)."""
    return np.ascontiguousarray(flow.permute(0, 2, 3, 1).numpy())


def waves(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The colours (…, 3) of a smooth picture at any place, in pixels."""
    return 0.5 + 0.2 * np.stack(
        [np.sin(x / 9) + np.cos(y / 11), np.sin((x + y) / 13) + np.sin(y / 8), np.cos((x - y) / 10) + np.cos(x / 12)],
        axis=-1,
    )


def wavy_picture(height: int, width: int) -> Tensor:
    """(H, W, 3) float32: `waves` at the pixels, the first at 0."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    return torch.from_numpy(waves(x, y)).float()
