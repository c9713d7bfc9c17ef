"""From latents of a mask sequence to the soft mask S (3.4): linear in the latent, or through the decoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ..bases.base import Base

_TRUST_IN_PRIOR = 1e-2
"""Weight of the black-to-white direction beside one frame of evidence."""

_FLAT_SIDE = 128
"""Pixels of the flat pictures whose latents are black and white."""


class Readout(Protocol):
    """A way to see masks in latents."""

    def __call__(self, latents: Tensor) -> Tensor:
        """Read soft masks off predicted latents of a mask sequence.

        Args:
            latents: (1, C, F, h, w).

        Returns:
            (F, H, W) in [0, 1], on the grid of the latents or of their pictures.
        """


@dataclass(frozen=True)
class LinearReadout:
    """S = weight · z + bias at each place of the latents' grid; made by `fit`.

    Attributes:
        weight: (C,)
        bias: ()
    """

    weight: Tensor
    bias: Tensor

    @classmethod
    def fit(cls, latent: Tensor, mask: Tensor, black: Tensor, white: Tensor) -> LinearReadout:
        """Fit the read-out to one mask and its latent, in closed form (ridge regression).

        Where the mask is flat and shows little, the result stays near the line from black to white.

        Args:
            latent: (C, h, w) of the mask as a picture, white on black.
            mask: (h, w) in [0, 1].
            black: (C,) latent of a black picture.
            white: (C,) latent of a white picture.
        """
        direction = (white - black).double()
        prior = direction / direction.square().sum()
        values = (latent.flatten(1).T - black).double()
        ones = torch.ones_like(values[:, :1])
        design = torch.cat([values, ones], dim=1)
        # A change of the weights counts by what it does to S between black and white.
        penalty = torch.cat([direction.square().mean().expand_as(prior), ones[0]])
        penalty = _TRUST_IN_PRIOR * len(values) * penalty
        missing = mask.flatten().double() - values @ prior
        change = torch.linalg.solve(design.T @ design + torch.diag(penalty), design.T @ missing)
        weight = prior + change[:-1]
        return cls(weight.to(latent), (change[-1] - weight @ black.double()).to(latent))

    def __call__(self, latents: Tensor) -> Tensor:
        weight, bias = self.weight.to(latents), self.bias.to(latents)
        return (torch.einsum("c,cfhw->fhw", weight, latents[0]) + bias).clamp(0, 1)


@dataclass(frozen=True)
class DecoderReadout:
    """S by the base's full decoder: the grey value of each decoded pixel.

    Attributes:
        base: whose latents they are.
    """

    base: Base

    def __call__(self, latents: Tensor) -> Tensor:
        masks = self.base.decode(latents).mean(-1).to(latents.device)
        rest = masks[1:].unflatten(0, (-1, self.base.stride)).mean(1)
        return torch.cat([masks[:1], rest])


def fit_readout(encode: Callable[[Tensor], Tensor], latent: Tensor, mask: Tensor) -> LinearReadout:
    """Fit a linear read-out to the mask of a first frame.

    Args:
        encode: from a picture (H, W, 3) in [0, 1] to its latent (1, C, 1, h, w), as `Base.encode`.
        latent: (1, C, 1, h, w) of the mask as a picture.
        mask: (H, W) in [0, 1].
    """
    black, white = (_flat_latent(encode, level) for level in (0.0, 1.0))
    small = F.interpolate(mask[None, None].to(latent), latent.shape[-2:], mode="area")[0, 0]
    return LinearReadout.fit(latent[0, :, 0], small, black, white)


def _flat_latent(encode: Callable[[Tensor], Tensor], level: float) -> Tensor:
    """(C,) of a flat picture, from its middle, where its border is not felt."""
    latent = encode(torch.full((_FLAT_SIDE, _FLAT_SIDE, 3), level))[0, :, 0]
    height, width = latent.shape[-2:]
    return latent[:, height // 4 : -(height // 4), width // 4 : -(width // 4)].mean((-2, -1))
