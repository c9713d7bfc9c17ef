"""Warp pictures along a backward flow, which says for each new pixel where in the old picture it comes from."""

import torch
import torch.nn.functional as F
from torch import Tensor


def warp(pictures: Tensor, flow: Tensor) -> Tensor:
    """Warp pictures along a backward flow: bilinear, mirrored beyond the edge.

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


def warp_extrapolated(field: Tensor, flow: Tensor) -> Tensor:
    """Warp a field along a backward flow: bilinear, continued in straight lines beyond the edge.

    Args:
        field: (N, C, H, W).
        flow: (N, 2, H, W), as in `warp`.

    Returns:
        (N, C, H, W)
    """
    height, width = flow.shape[-2:]
    x, y = _sources(flow)
    places = torch.stack([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1], dim=-1)
    at_edge, mirrored = (
        F.grid_sample(field, places, padding_mode=beyond, align_corners=True) for beyond in ("border", "reflection")
    )
    return 2 * at_edge - mirrored


def inside(flow: Tensor) -> Tensor:
    """Whether a backward flow (N, 2, H, W) points into the picture, half a pixel around it included: (N, H, W) bool."""
    height, width = flow.shape[-2:]
    x, y = _sources(flow)
    return (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)


def _sources(flow: Tensor) -> tuple[Tensor, Tensor]:
    """The x and y coordinates that a flow points to, (N, H, W) each."""
    height, width = flow.shape[-2:]
    x = torch.arange(width, device=flow.device, dtype=flow.dtype) + flow[:, 0]
    return x, torch.arange(height, device=flow.device, dtype=flow.dtype)[:, None] + flow[:, 1]
