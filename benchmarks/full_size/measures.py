"""How far a frame is from what it should show."""

import math

import cv2
import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from miva_core.measure.ms_ssim import ms_ssim

MARGIN = 16
"""Pixels around a subject that count as passed: two of the base's, which cannot tell it from the ground more finely."""


def sharpness(frame: Tensor) -> float:
    """Mean square of the differences between neighbouring pixels."""
    return float((frame.diff(dim=0) ** 2).mean() + (frame.diff(dim=1) ** 2).mean())


def structure(frame: Tensor, ideal: Tensor) -> float:
    """MS-SSIM of two frames (H, W, 3)."""
    first, second = (rearrange(x, "h w c -> 1 c h w") for x in (frame, ideal))
    return ms_ssim(first, second).item()


def likeness(frame: Tensor, ideal: Tensor, area: Tensor | None = None) -> float:
    """PSNR of two frames (H, W, 3), everywhere or where an area (H, W) is true; 120 dB for equal ones."""
    off = (frame - ideal) if area is None else (frame - ideal)[area]
    return -10 * math.log10(max(off.double().square().mean().item(), 1e-12))


def away_from(area: Tensor, pixels: int = MARGIN) -> Tensor:
    """(H, W) bool: more than so many pixels away from an area."""
    kernel = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    return torch.from_numpy(cv2.dilate(area.numpy().astype(np.uint8), kernel) == 0)
