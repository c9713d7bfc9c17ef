"""Painted backgrounds: layered fractal textures, so that a model trained on few photographs sees many pictures."""

import torch
from torch import Tensor

from miva_core.media.pixel_values import to_bytes


def fractal_noise(count: int, size: int, generator: torch.Generator, exponent: Tensor) -> Tensor:
    """Noise with power spectrum 1/f^(2 exponent), zero mean and unit variance: (count, size, size).

    Args:
        exponent: (count,), about 0.8 (rough) to 2 (smooth).
    """
    f = torch.fft.fftfreq(size)
    radius = (f[:, None] ** 2 + f[None, : size // 2 + 1] ** 2).sqrt()
    radius[0, 0] = torch.inf
    white = torch.fft.rfft2(torch.randn(count, size, size, generator=generator))
    noise = torch.fft.irfft2(white * radius ** -exponent[:, None, None], s=(size, size))
    return noise / noise.std(dim=(1, 2), keepdim=True)


def paint_backdrops(count: int, size: int, seed: int, layers: int = 4) -> Tensor:
    """Random painted pictures, uint8 (count, 3, size, size)."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return torch.rand(*shape, generator=generator) * (high - low) + low

    vividness = uniform(count, 1, 1, 1, low=0.2, high=1.0)

    def colours() -> Tensor:
        colour = uniform(count, 3, 1, 1)
        return torch.lerp(colour.mean(1, keepdim=True), colour, vividness)

    ramp = torch.linspace(0, 1, size)[None, None, :, None]
    top, bottom = colours(), colours()
    picture = (top * (1 - ramp) + bottom * ramp).expand(count, 3, size, size)
    for _ in range(layers):
        outline = fractal_noise(count, size, generator, uniform(count, low=1.3, high=2.2))
        # A tilt makes outlines into horizons as often as into islands.
        outline = outline + uniform(count, 1, 1, low=-1.0, high=3.0) * (ramp[0] - 0.5)
        threshold = uniform(count, 1, 1, low=0.0, high=1.5)
        cover = ((outline - threshold) * 20).clamp(0, 1)[:, None]
        grain = fractal_noise(count, size, generator, uniform(count, low=0.7, high=1.6))[:, None]
        colour = colours() + grain * uniform(count, 3, 1, 1, low=0.02, high=0.15)
        picture = picture * (1 - cover) + colour * cover
    return to_bytes(picture)
