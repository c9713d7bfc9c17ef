"""Masks and depth maps as people have them: drawn roughly, with a brush that is too wide, too soft or not steady."""

import math

import cv2
import numpy as np
import torch
from torch import Tensor

from tools.motion_world.shapes import Shape

CELL = 10.0
"""How long the waves of an unsteady rim are, in pixels."""


def rough_mask(shape: Shape, places: Tensor, rng: np.random.Generator) -> Tensor:
    """The mask (H, W) of a shape as somebody would draw it: some pixels too wide or too narrow, by places."""
    distance = shape.distance(places) + rng.uniform(-0.8, 2.0)
    if rng.random() < 0.5:
        distance = distance + rng.uniform(0.3, 1.2) * _wobble(rng, places.shape[:2])
    return blurred(torch.sigmoid(distance / rng.uniform(0.25, 1.2)), rng.uniform(0, 1.2))


def blurred(field: Tensor, sigma: float) -> Tensor:
    """A field (H, W) smoothed; less than a third of a pixel is nothing."""
    if sigma < 0.33:
        return field
    side = 2 * math.ceil(2 * sigma) + 1
    return torch.from_numpy(cv2.GaussianBlur(field.numpy(), (side, side), sigma))


def _wobble(rng: np.random.Generator, size: tuple[int, ...]) -> Tensor:
    """Smooth noise (H, W) of about unit height."""
    height, width = size
    cells = rng.normal(size=(math.ceil(height / CELL) + 2, math.ceil(width / CELL) + 2)).astype(np.float32)
    return torch.from_numpy(cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC))
