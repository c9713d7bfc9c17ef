"""The video model of the built-in U-Net: a U-Net with motion modules that also warps the first frame.

A few million weights cannot paint a photograph anew sixteen times. So this network answers two things: where in the
first frame each pixel of a later one comes from, and what is then still missing.
"""

from dataclasses import dataclass
from functools import wraps
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import UNetMotionModel
from diffusers.utils import BaseOutput
from torch import Tensor, nn

from ...media.flow_warp import warp
from .linear_patches import PATCH, LinearPatches

FINE = 4
"""Flow vectors to a latent place, along each side."""
PLACE = 5
"""Channels that encode where and when a place is."""
REACH = 4.0
"""Pixels of flow to a unit of the last layer's output, so that flow is learnt as fast as the rest."""


@dataclass
class WarpingOutput(BaseOutput):
    """The output of a `WarpingUNet`.

    Attributes:
        sample: (B, C, F, h, w), the motion x - x^1.
        flow: (B, F, 2, 8h, 8w), x and y in pixels: pixel p of a frame shows what is at p + flow(p) in frame 1, as far
            as it can be seen there.
    """

    sample: Tensor
    flow: Tensor


class WarpingUNet(UNetMotionModel):
    """A `UNetMotionModel` that predicts how the first frame is warped, and what then is still missing.

    Its clips begin with their clean first frame, of latents as `LinearPatches` makes them; it predicts x - x^1. The
    first layer also takes where and when each place is, the last one also gives the flow.

    Attributes:
        patches: a copy of the codec's, so that the frame is warped as a picture and not as a grid of patches.
    """

    # The signature that is wrapped is what diffusers reads a config by; diffusers has no types.
    @wraps(UNetMotionModel.__init__)  # type: ignore[misc]
    def __init__(self, *args: Any, **config: Any) -> None:
        super().__init__(*args, **config)
        channels, width = self.config.in_channels, self.config.block_out_channels[0]
        self.conv_in = nn.Conv2d(channels + PLACE, width, 3, padding=1)
        self.conv_out = nn.Conv2d(width, channels + 2 * FINE**2, 3, padding=1)
        self.patches = LinearPatches(channels)

    def forward(self, sample: Tensor, timestep: Tensor | int, encoder_hidden_states: Tensor) -> WarpingOutput:
        """Predict the motion of noisy clips.

        Args:
            sample: (B, C, F, h, w), frame 1 clean.
            timestep: (B,) or one for all.
            encoder_hidden_states: (B F, W, D), the caption of every frame.
        """
        batch, channels, frames, height, width = sample.shape
        places = _places(frames, height, width, self.config.motion_max_seq_length, sample.device)
        inputs = torch.cat([sample, places.to(sample).expand(batch, -1, -1, -1, -1)], dim=1)
        answer = super().forward(inputs, timestep, encoder_hidden_states).sample
        # Coordinates in half precision would be off by a quarter of a pixel.
        with torch.autocast(sample.device.type, enabled=False):
            rest, flow = answer.to(self.patches.mean).split([channels, 2 * FINE**2], dim=1)
            flow = _to_pixels(flow)
            first = sample[:, :, :1].to(rest)
            return WarpingOutput(sample=rest + self._warped(first[:, :, 0], flow) - first, flow=flow)

    def _warped(self, first: Tensor, flow: Tensor) -> Tensor:
        """Latents (B, C, F, h, w) of the first frame (B, C, h, w) along flows (B, F, 2, H, W)."""
        pictures = self.patches.decode(first).repeat_interleave(flow.shape[1], dim=0)
        return self.patches.encode(warp(pictures, flow.flatten(0, 1))).unflatten(0, flow.shape[:2]).transpose(1, 2)


def _to_pixels(flow: Tensor) -> Tensor:
    """The flow of the last layer, (B, 2 FINE^2, F, h, w), as (B, F, 2, 8h, 8w) pixels."""
    fine = F.pixel_shuffle(REACH * flow.transpose(1, 2).flatten(0, 1), FINE)
    full = F.interpolate(fine, scale_factor=PATCH // FINE, mode="bilinear", align_corners=False)
    return full.unflatten(0, (len(flow), -1))


def _places(frames: int, height: int, width: int, longest: int, device: torch.device) -> Tensor:
    """(5, F, h, w): x and y in [-1, 1], the frame's time in [0, 1], and both products."""
    times = torch.arange(frames, device=device) / (longest - 1)
    rows, columns = (torch.linspace(-1, 1, side, device=device) for side in (height, width))
    time, y, x = torch.meshgrid(times, rows, columns, indexing="ij")
    return torch.stack([x, y, time, time * x, time * y])
