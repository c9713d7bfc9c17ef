"""Multi-scale structural similarity of pictures (Wang, Simoncelli and Bovik 2003)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import MIVAError

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Weights of the scales, the finest first, as published."""
WINDOW, SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def ms_ssim(a: Tensor, b: Tensor) -> Tensor:
    """Compute the MS-SSIM of pairs of pictures, averaged over their channels.

    Pictures too small for five scales, below 161 pixels a side, are compared at fewer, whose weights are scaled to a
    sum of 1.

    Args:
        a: (N, C, H, W) in [0, 1], sides of at least 11 pixels.
        b: of the same shape.

    Returns:
        (N,), 1 for equal pictures.

    Raises:
        MIVAError: the pictures are too small.
    """
    side = min(a.shape[-2:])
    scales = sum(side >= (WINDOW - 1) * 2**k + 1 for k in range(len(WEIGHTS)))
    if not scales:
        raise MIVAError(f"MS-SSIM needs sides of at least {WINDOW} pixels, but the shorter one has {side}.")
    weights = torch.tensor(WEIGHTS[:scales], dtype=a.dtype)
    weights = weights / weights.sum()
    result = a.new_ones(a.shape[:2])
    for k, weight in enumerate(weights.tolist()):
        luminance, contrast = _ssim_parts(a, b)
        # The luminance is compared at the coarsest scale alone.
        seen = luminance * contrast if k == scales - 1 else contrast
        result = result * seen.mean((-2, -1)).clamp(min=0) ** weight
        a, b = (F.avg_pool2d(x, 2, ceil_mode=True) for x in (a, b))
    return result.mean(1)


def _ssim_parts(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Compute SSIM's luminance term, and its contrast and structure term, wherever the window fits."""
    mean_a, mean_b = _blurred(a), _blurred(b)
    variance_a, variance_b = _blurred(a * a) - mean_a**2, _blurred(b * b) - mean_b**2
    covariance = _blurred(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    return luminance, (2 * covariance + _C2) / (variance_a + variance_b + _C2)


def _blurred(x: Tensor) -> Tensor:
    """Blur pictures (N, C, H, W) by the Gaussian window: (N, C, H - 10, W - 10)."""
    place = torch.arange(WINDOW, dtype=x.dtype, device=x.device) - WINDOW // 2
    kernel = torch.exp(-(place**2) / (2 * SIGMA**2))
    kernel = kernel / kernel.sum()
    planes = x.flatten(0, 1)[None]
    # As channels of one picture: as a batch of pictures they take seven times as long.
    down = kernel.view(1, 1, -1, 1).expand(planes.shape[1], -1, -1, -1)
    planes = F.conv2d(F.conv2d(planes, down, groups=len(down)), down.transpose(-1, -2), groups=len(down))
    return planes[0].unflatten(0, x.shape[:2])
