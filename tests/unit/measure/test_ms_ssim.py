"""MS-SSIM against the formula written out."""

import numpy as np
import pytest
import torch

from miva_core.errors import MIVAError
from miva_core.measure.ms_ssim import WEIGHTS, ms_ssim


def slow(a: np.ndarray, b: np.ndarray, scales: int) -> float:
    """One channel, place by place."""
    offsets = np.arange(11) - 5
    kernel = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    kernel /= kernel.sum()
    weights = np.array(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
    result = 1.0
    for k in range(scales):
        luminance, contrast = [], []
        for y in range(a.shape[0] - 10):
            for x in range(a.shape[1] - 10):
                p, q = a[y : y + 11, x : x + 11], b[y : y + 11, x : x + 11]
                mp, mq = (kernel * p).sum(), (kernel * q).sum()
                vp, vq = (kernel * (p - mp) ** 2).sum(), (kernel * (q - mq) ** 2).sum()
                cov = (kernel * (p - mp) * (q - mq)).sum()
                luminance.append((2 * mp * mq + 1e-4) / (mp**2 + mq**2 + 1e-4))
                contrast.append((2 * cov + 9e-4) / (vp + vq + 9e-4))
        terms = np.array(contrast) * (np.array(luminance) if k == scales - 1 else 1)
        result *= max(terms.mean(), 0) ** weights[k]
        if k < scales - 1:
            a, b = (x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2).mean((1, 3)) for x in (a, b))
    return result


@pytest.mark.parametrize(("side", "scales"), [(16, 1), (24, 2), (44, 3)])
def test_it_is_the_published_formula(side: int, scales: int) -> None:
    a = torch.rand(1, 2, side, side + 4, dtype=torch.float64)
    b = (a + 0.2 * torch.randn_like(a)).clamp(0, 1)
    expected = np.mean([slow(a[0, c].numpy(), b[0, c].numpy(), scales) for c in range(2)])
    assert ms_ssim(a, b).item() == pytest.approx(expected, abs=1e-9)


def test_all_five_scales_are_used_from_161_pixels_on() -> None:
    """Noise as fine as a pixel is averaged away at coarser scales, so that more of them see less of it."""
    torch.manual_seed(0)
    large = torch.nn.functional.interpolate(torch.rand(1, 1, 12, 12), (161, 161), mode="bicubic").clamp(0, 1)
    noisy = (large + 0.2 * torch.randn_like(large)).clamp(0, 1)
    assert ms_ssim(large, noisy).item() > ms_ssim(large[..., :160, :], noisy[..., :160, :]).item()
    assert sum(WEIGHTS) == pytest.approx(1, abs=2e-4)


def test_equal_pictures_have_one_and_too_small_ones_are_told() -> None:
    a = torch.rand(3, 3, 30, 40, dtype=torch.float64)
    torch.testing.assert_close(ms_ssim(a, a), torch.ones(3, dtype=torch.float64))
    with pytest.raises(MIVAError, match=r"11 pixels, .* 10"):
        ms_ssim(a[..., :10], a[..., :10])
