"""Patches and their principal components, the slow way."""

import numpy as np
import torch
from torch import Tensor

from miva_core.bases.tiny.linear_patches import PATCH

CHANNELS, PATCH_DIM = 12, 192


def correlated_patches(count: int = 400) -> Tensor:
    """(N, 192) float64 with a spectrum that falls, and a mean."""
    mixing = torch.linalg.qr(torch.randn(PATCH_DIM, PATCH_DIM).double()).Q * 0.97 ** torch.arange(PATCH_DIM)
    return torch.randn(count, PATCH_DIM).double() @ mixing.T * 0.3 + torch.randn(PATCH_DIM).double() * 0.2


def patches_of(pictures: Tensor) -> Tensor:
    """(N, 3, H, W) to (N, h, w, 192), cut out one by one."""
    n, _, height, width = pictures.shape
    rows = [
        pictures[k, :, y : y + PATCH, x : x + PATCH].flatten()
        for k in range(n)
        for y in range(0, height, PATCH)
        for x in range(0, width, PATCH)
    ]
    return torch.stack(rows).view(n, height // PATCH, width // PATCH, PATCH_DIM)


def principal(patches: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, the first right singular vectors (CHANNELS, 192) and all singular values, by numpy."""
    values = patches.numpy()
    mean = values.mean(0)
    _, singular, vectors = np.linalg.svd(values - mean, full_matrices=False)
    return mean, vectors[:CHANNELS], singular
