"""The noise that the network of one of ComfyUI's MODELs sees, by the noise levels of a sampler."""

from __future__ import annotations

from typing import Any

import torch
from comfy.model_sampling import CONST
from torch import Tensor

from ....miva_core.diffusion.noise_process import along_line
from ....miva_core.diffusion.noise_share import noise_share


class NetworkNoise:
    """A `Noise` whose levels are sigmas, () on the CPU.

    A sampler's latents are x_0 + sigma eps, which a network sees divided by sqrt(1 + sigma^2), so that the noise
    preserves variance there; or, in flow matching, (1 - sigma) x_0 + sigma eps for both.

    Args:
        sampling: `model_sampling` of the MODEL.
    """

    def __init__(self, sampling: Any) -> None:
        self._sampling = sampling

    def clean(self, output: Tensor, noisy: Tensor, t: Tensor) -> Tensor:
        """See `NoiseProcess.clean`; the MODEL knows what its network predicts."""
        scale = 1 if self._is_flow else self._levels(t, noisy)[0]
        clean: Tensor = self._sampling.calculate_denoised(t.to(noisy).expand(len(noisy)), output, noisy / scale)
        return clean

    def move(self, clean: Tensor, noisy: Tensor, t: Tensor, to: Tensor) -> Tensor:
        """See `NoiseProcess.move`."""
        return along_line(clean, noisy, self._levels(t, noisy), self._levels(to, noisy))

    def centre(self, x1: Tensor) -> Tensor:
        """Nothing: ComfyUI's MODELs see the latents themselves."""
        return torch.zeros_like(x1)

    def timestep(self, t: Tensor) -> Tensor:
        """What the network is told of levels (n,), on its device."""
        told: Tensor = self._sampling.timestep(t)
        return told.float()

    def share_gone(self, sigma: float) -> float:
        """See `noise_share`."""
        if self._is_flow:
            return noise_share(sigma, 1, is_flow=True)
        step = self._sampling.timestep(torch.tensor(sigma))
        return noise_share(float(step), len(self._sampling.sigmas), is_flow=False)

    @property
    def _is_flow(self) -> bool:
        return isinstance(self._sampling, CONST)

    def _levels(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Shares of x_0 and of the noise in what the network sees."""
        if self._is_flow:
            return (1 - t).to(like), t.to(like)
        length = (1 + t.square()).sqrt()
        return (1 / length).to(like), (t / length).to(like)
