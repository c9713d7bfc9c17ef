"""Where sampling starts and how it ends: shared noise, the low band of the picture in the noise, AdaIN.

Latents are (B, C, F, h, w): batch, channels, frames, height, width. Frame 1 is index 0 along F.
Source: MIVA, arXiv 2512.20000, Algorithm 1 and sections 3.3 and B.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..checks import is_number
from ..errors import MIVAError

Shape = Literal["rect", "tri"]
LowBand = Literal["own", "shared"]

# sqrt(alpha_bar) of Stable Diffusion 1.5 (betas "scaled_linear", 0.00085..0.012, 1000 steps) at t = 975, the fixed
# timestep at which the method mixes the picture into the noise. It does not carry over to other noise schedules.
SD15_STRENGTH = 0.0787


def shared_noise(noise: Tensor, ratio: float = 0.05) -> Tensor:
    """Mix the noise of frame 1 into every later frame: r eps^1 + (1 - r) eps^i for i >= 2.

    The mixture is not renormalised (its variance is r^2 + (1 - r)^2), as in the paper.

    Args:
        noise: (B, C, F, h, w) independent standard normal noise.
        ratio: share r of frame 1, in [0, 1].

    Returns:
        (B, C, F, h, w); frame 1 as it came.

    Raises:
        MIVAError: `noise` is not five-dimensional, or `ratio` is outside [0, 1].
    """
    _check_latents("noise", noise)
    _check_share("shared_ratio", ratio)
    first, rest = noise[:, :, :1], noise[:, :, 1:]
    return torch.cat([first, ratio * first + (1 - ratio) * rest], dim=2)


def dct_matrix(n: int, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> Tensor:
    """Build the orthonormal DCT-II matrix.

    Args:
        n: number of values.
        dtype: of the result; it is computed in float64.
        device: of the result.

    Returns:
        D (n, n): D x are the frequencies of x (n,), and the transpose of D is its inverse.
    """
    # Built in float64: the cosines of large arguments lose digits in float32.
    frequency = torch.arange(n, dtype=torch.float64)[:, None]
    position = torch.arange(n, dtype=torch.float64)[None, :]
    matrix = math.sqrt(2 / n) * torch.cos(math.pi / n * (position + 0.5) * frequency)
    matrix[0] /= math.sqrt(2)
    return matrix.to(device=device, dtype=dtype)


def dct2(x: Tensor) -> Tensor:
    """Transform (..., h, w) float values by the orthonormal 2-D DCT-II over the last two axes."""
    rows, columns = (dct_matrix(n, x.dtype, x.device) for n in x.shape[-2:])
    return rows @ x @ columns.T


def idct2(x: Tensor) -> Tensor:
    """Transform (..., h, w) frequencies back to values, as the inverse of `dct2`."""
    rows, columns = (dct_matrix(n, x.dtype, x.device) for n in x.shape[-2:])
    return rows.T @ x @ columns


def low_pass_box(h: int, w: int, cutoff: float = 0.23, shape: Shape = "rect") -> Tensor:
    """Choose the low band: which 2-D DCT frequencies come from the picture.

    Args:
        h: height of the latent.
        w: width of the latent.
        cutoff: share of the frequencies kept along each axis, in [0, 1]: y < int(cutoff h) and x < int(cutoff w).
        shape: "rect" is the whole box, "tri" its part where y/h + x/w < cutoff.

    Returns:
        (h, w) bool tensor on the CPU.

    Raises:
        MIVAError: `cutoff` is outside [0, 1] or `shape` is unknown.
    """
    _check_share("cutoff", cutoff)
    _check_choice("shape", shape, ("rect", "tri"))
    y, x = torch.arange(h)[:, None], torch.arange(w)[None, :]
    box = (y < int(cutoff * h)) & (x < int(cutoff * w))
    if shape == "tri":
        box &= y.double() / h + x.double() / w < cutoff
    return box


def dct_init(
    x1: Tensor,
    noise: Tensor,
    *,
    strength: float,
    cutoff: float = 0.23,
    shape: Shape = "rect",
    low_band: LowBand = "own",
    sigma: float | None = None,
) -> Tensor:
    """Put the low frequencies of the noised picture into the noise of every later frame.

    base^i = strength x1 + sigma eps^i; frames 2..F get base^i in the low band and eps^i elsewhere.
    The band of Algorithm 1 is constant along temporal frequency, so its 3-D DCT is this DCT of each frame.

    Args:
        x1: (B, C, 1, h, w) clean latent of the picture.
        noise: (B, C, F, h, w) noise, usually from `shared_noise`.
        strength: share alpha of the picture, in [0, 1]; with low_band="own", 0 returns the noise as it came.
        cutoff: see `low_pass_box`.
        shape: see `low_pass_box`.
        low_band: "own": each base uses its own frame's noise; "shared": all use frame 1's, the form of Algorithm 1,
            which makes the low band the same in all frames.
        sigma: share of the noise in the picture's base, in [0, 1]; None for that of a process that preserves variance,
            sqrt(1 - strength^2). In flow matching it is 1 - strength.

    Returns:
        (B, C, F, h, w) noise; frame 1 as it came.

    Raises:
        MIVAError: shapes do not fit each other, or an option is out of range.
    """
    _check_picture_latent(x1)
    _check_latents("noise", noise)
    if x1.shape[:2] != noise.shape[:2] or x1.shape[3:] != noise.shape[3:]:
        raise MIVAError(
            f"The picture's latent {tuple(x1.shape)} and the noise {tuple(noise.shape)} must agree in all but frames."
        )
    _check_share("strength", strength)
    _check_choice("low_band", low_band, ("own", "shared"))
    first, rest = noise[:, :, :1], noise[:, :, 1:]
    band = low_pass_box(noise.shape[-2], noise.shape[-1], cutoff, shape).to(noise.device)
    sigma = math.sqrt(1 - strength**2) if sigma is None else sigma
    base = strength * x1 + sigma * (rest if low_band == "own" else first)
    # The transform is linear, so filtering the difference swaps the band and leaves the other frequencies untouched.
    return torch.cat([first, rest + idct2(dct2(base - rest) * band)], dim=2)


def adain(latents: Tensor, reference: Tensor | None = None) -> Tensor:
    """Give frames 2..F the mean and standard deviation of frame 1, per channel over (h, w).

    To be called once, after the last step: doing so at every step flattens the motion (MIVA, section B).

    Args:
        latents: (B, C, F, h, w) float latents with at least two pixels a frame.
        reference: (1, C, 1, h, w) or (B, C, 1, h, w), a frame in place of frame 1 to take both from.

    Returns:
        (B, C, F, h, w) of the same dtype; frame 1 as it came.

    Raises:
        MIVAError: `latents` is not five-dimensional or has fewer than two pixels a frame.
    """
    _check_latents("latents", latents)
    if latents.shape[-2] * latents.shape[-1] < 2:
        raise MIVAError(f"AdaIN needs at least two pixels a frame, but the latents are {tuple(latents.shape)}.")
    first, rest = latents[:, :, :1], latents[:, :, 1:]
    mean, deviation = _statistics(rest)
    to_mean, to_deviation = _statistics(first if reference is None else reference)
    moved = (rest.float() - mean) / deviation * to_deviation + to_mean
    return torch.cat([first, moved.to(latents.dtype)], dim=2)


def _statistics(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over (h, w)."""
    variance, mean = torch.var_mean(frames.float(), dim=(-2, -1), keepdim=True, correction=1)
    return mean, torch.sqrt(variance + 1e-8)


@dataclass(frozen=True)
class NoiseInit:
    """How the starting latents of a clip are made; the defaults are the paper's for Stable Diffusion 1.5.

    Args:
        shared_ratio: share of frame 1's noise in every other frame, in [0, 1]; 0 switches it off.
        dct: whether the low band comes from the picture.
        strength: share of the picture in its low band, in [0, 1].
        cutoff: share of the frequencies along each axis in the low band, in [0, 1].
        shape: "rect" or "tri", see `low_pass_box`.
        low_band: "own" or "shared", see `dct_init`.

    Raises:
        MIVAError: an option is out of range.
    """

    shared_ratio: float = 0.05
    dct: bool = True
    strength: float = SD15_STRENGTH
    cutoff: float = 0.23
    shape: Shape = "rect"
    low_band: LowBand = "own"

    def __post_init__(self) -> None:
        for name in ("shared_ratio", "strength", "cutoff"):
            _check_share(name, getattr(self, name))
        _check_choice("dct", self.dct, (True, False))
        _check_choice("shape", self.shape, ("rect", "tri"))
        _check_choice("low_band", self.low_band, ("own", "shared"))

    def start_latents(self, x1: Tensor, frames: int, generator: torch.Generator) -> Tensor:
        """Draw the latents that sampling starts from.

        Everything happens on the CPU in float32, so one seed gives the same clip whatever device samples it.

        Args:
            x1: (B, C, 1, h, w) clean latent of the picture, any float dtype and device.
            frames: number of latent frames F >= 1, frame 1 included.
            generator: CPU generator; it moves on by B C F h w normal draws.

        Returns:
            (B, C, F, h, w) like `x1`: the clean latent as frame 1, noise in frames 2..F.

        Raises:
            MIVAError: `x1` is not a single latent frame, `frames` is below 1, or `generator` is not on the CPU.
        """
        _check_picture_latent(x1)
        if frames < 1:
            raise MIVAError(f"A clip has at least 1 frame, but {frames} were asked for.")
        if generator.device.type != "cpu":
            raise MIVAError(f"The noise generator is on {generator.device}, but it must be a CPU torch.Generator.")
        b, c, _, h, w = x1.shape
        noise = self.structure(x1, torch.randn(b, c, frames, h, w, generator=generator))
        return torch.cat([x1, noise[:, :, 1:].to(x1)], dim=2)

    def structure(self, x1: Tensor, noise: Tensor) -> Tensor:
        """Give noise that is drawn already the structure of `start_latents`.

        Args:
            x1: (B, C, 1, h, w) clean latent of the picture, any float dtype and device.
            noise: (B, C, F, h, w) independent standard normal noise.

        Returns:
            (B, C, F, h, w) like `noise`; frame 1 as it came.

        Raises:
            MIVAError: shapes do not fit each other.
        """
        mixed = shared_noise(noise.float().cpu(), self.shared_ratio)
        if self.dct:
            mixed = dct_init(
                x1.float().cpu(),
                mixed,
                strength=self.strength,
                cutoff=self.cutoff,
                shape=self.shape,
                low_band=self.low_band,
            )
        return mixed.to(noise)


def _check_share(name: str, value: float) -> None:
    if not is_number(value) or not 0 <= value <= 1:
        raise MIVAError(f"{name} is {value!r}, but it must be a number from 0 to 1.")


def _check_choice(name: str, value: object, choices: tuple) -> None:
    if value not in choices:
        raise MIVAError(f"{name} is {value!r}, but it must be {' or '.join(repr(c) for c in choices)}.")


def _check_latents(name: str, latents: Tensor) -> None:
    if latents.ndim != 5 or not latents.is_floating_point():
        raise MIVAError(f"{name} must be a float tensor (B, C, F, h, w), but it is {_describe(latents)}.")


def _check_picture_latent(x1: Tensor) -> None:
    if x1.ndim != 5 or x1.shape[2] != 1 or not x1.is_floating_point():
        raise MIVAError(f"The picture's latent must be a float tensor (B, C, 1, h, w), but it is {_describe(x1)}.")


def _describe(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
