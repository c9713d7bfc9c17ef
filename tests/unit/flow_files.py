"""The flow of a camera clip from the file that is written beside it."""

import json
from pathlib import Path

import torch
from torch import Tensor


def read_flow(path: Path) -> Tensor:
    """The flow field (F-1, H, W, 2) in pixels: A (x, y, 1) at each pixel, its x and y off the frame's centre."""
    content = json.loads(path.read_text())
    height, width = content["height"], content["width"]
    y, x = torch.meshgrid(torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2, indexing="ij")
    return torch.einsum("frc,hwc->fhwr", torch.tensor(content["flow"]), torch.stack([x, y, torch.ones_like(x)], -1))
