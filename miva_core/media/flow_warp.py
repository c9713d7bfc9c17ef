"""Pictures warped along a flow: each pixel of the new one says where in the old one it comes from."""

import torch
import torch.nn.functional as F
from torch import Tensor


def warp(pictures: Tensor, flow: Tensor) -> Tensor:
    """The pictures that a backward flow makes, bilinear, mirrored beyond the edge.

    Args:
        pictures: (N, C, H, W).
        flow: (N, 2, H, W) pixels, x first: pixel p of the result is pixel p + flow(p) of the picture.

    Returns:
        (N, C, H, W)
    """
    height, width = flow.shape[-2:]
    x, y = _sources(flow)
    places = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    return F.grid_sample(pictures, places, padding_mode="reflection", align_corners=False)


def continued(field: Tensor, flow: Tensor) -> Tensor:
    """A field (N, C, H, W), which goes on in straight lines beyond its edge, along a backward flow (N, 2, H, W)."""
    height, width = flow.shape[-2:]
    x, y = _sources(flow)
    places = torch.stack([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1], dim=-1)
    at_edge, mirrored = (
        F.grid_sample(field, places, padding_mode=beyond, align_corners=True) for beyond in ("border", "reflection")
    )
    return 2 * at_edge - mirrored


def inside(flow: Tensor) -> Tensor:
    """(N, H, W) bool: whether what a pixel shows comes from within the picture, to half a pixel."""
    height, width = flow.shape[-2:]
    x, y = _sources(flow)
    return (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)


def _sources(flow: Tensor) -> tuple[Tensor, Tensor]:
    """x and y of the pixels that a flow points to, (N, H, W) each."""
    height, width = flow.shape[-2:]
    x = torch.arange(width, device=flow.device, dtype=flow.dtype) + flow[:, 0]
    return x, torch.arange(height, device=flow.device, dtype=flow.dtype)[:, None] + flow[:, 1]
