"""Pictures as principal components of their patches: exactly linear, fitted in closed form."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATCH = 8


class LinearPatches(nn.Module):
    """Projects each 8x8 patch on its principal components, and back. It is fitted, never trained.

    Shapes: mean (192,), analysis (C, 192), synthesis (192, C), patches laid out as by `pixel_unshuffle`.
    """

    def __init__(self, components: int) -> None:
        super().__init__()
        size = 3 * PATCH * PATCH
        self.mean = nn.Parameter(torch.zeros(size), requires_grad=False)
        self.analysis = nn.Parameter(torch.zeros(components, size), requires_grad=False)
        self.synthesis = nn.Parameter(torch.zeros(size, components), requires_grad=False)

    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) in [-1, 1], H and W multiples of 8, to (N, C, H/8, W/8), about unit variance."""
        patches = F.pixel_unshuffle(pictures, PATCH) - self.mean[:, None, None]
        return F.conv2d(patches, self.analysis[:, :, None, None])

    def decode(self, components: Tensor) -> Tensor:
        """Components (N, C, h, w) to pictures (N, 3, 8h, 8w), about in [-1, 1], without the components left out."""
        patches = F.conv2d(components, self.synthesis[:, :, None, None]) + self.mean[:, None, None]
        return F.pixel_shuffle(patches, PATCH)

    @torch.no_grad()
    def fit(self, patches: Tensor, whitening: float = 0.75) -> None:
        """Set all from sample patches by principal component analysis.

        Args:
            patches: (N, 192).
            whitening: exponent p; component k, of standard deviation s_k, is divided by s_k^p. At 1 all components
                weigh the same, at 0 fine detail drowns in the noise of early steps.
        """
        mean = patches.double().mean(0)
        centred = patches.double() - mean
        variance, basis = torch.linalg.eigh(centred.T @ centred / len(centred))
        count = len(self.analysis)
        deviation, basis = variance.flip(0)[:count].sqrt(), basis.flip(1)[:, :count].T
        divisor = deviation**whitening
        divisor = divisor * ((deviation / divisor) ** 2).mean().sqrt()
        self.mean.copy_(mean)
        self.analysis.copy_(basis / divisor[:, None])
        self.synthesis.copy_((basis * divisor[:, None]).T)
