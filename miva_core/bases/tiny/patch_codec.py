"""The latent codec of the built-in U-Net: linear patches in, a small convolutional decoder out."""

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from .linear_patches import PATCH, LinearPatches


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions added to their input, shape kept."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.silu(self.conv1(F.silu(x))))


class PatchCodec(ModelMixin, ConfigMixin):
    """Pictures to latents at 1/8 resolution and back.

    Latents are the principal components of patches. Decoding adds to their pictures what a small network has learned is
    missing: the dropped components, the seams between patches, and the noise a sampler leaves behind.

    Args:
        latent_channels: principal components to a patch.
        width: channels of the decoder's residual blocks.
        depth: number of those blocks.
        detail: channels of the decoder at full resolution.
    """

    @register_to_config
    def __init__(self, latent_channels: int = 32, width: int = 80, depth: int = 3, detail: int = 16) -> None:
        super().__init__()
        self.patches = LinearPatches(latent_channels)
        self.conv_in = nn.Conv2d(latent_channels, width, 3, padding=1)
        self.blocks = nn.Sequential(*[ResidualBlock(width) for _ in range(depth)])
        self.to_detail = nn.Conv2d(width, detail * PATCH * PATCH, 1)
        self.conv_detail = nn.Conv2d(detail + 3, detail, 3, padding=1)
        self.conv_out = nn.Conv2d(detail, 3, 3, padding=1)
        for parameter in self.conv_out.parameters():
            nn.init.zeros_(parameter)

    @property
    def network(self) -> nn.Module:
        """Itself."""
        return self

    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) in [-1, 1], sides multiples of 8, to latents (N, C, H/8, W/8), about unit variance."""
        return self.patches.encode(pictures)

    def encode_clip(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (F, 3, H, W) to latents (F, C, H/8, W/8), each by itself, with a standard deviation of zero."""
        latents = self.encode(frames.to(self.patches.analysis))
        return latents, torch.zeros_like(latents)

    def decode(self, latents: Tensor) -> Tensor:
        """Latents (N, C, h, w) to pictures (N, 3, 8h, 8w), about in [-1, 1], not clipped."""
        linear = self.patches.decode(latents)
        detail = F.pixel_shuffle(self.to_detail(F.silu(self.blocks(self.conv_in(latents)))), PATCH)
        return linear + self.conv_out(F.silu(self.conv_detail(torch.cat([linear, detail], dim=1))))
