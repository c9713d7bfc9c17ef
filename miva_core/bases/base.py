"""A base: a frozen video model with all it needs to turn a picture into a clip."""

from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import torch
from einops import rearrange
from torch import Tensor, nn

from ..adapters.backbone import Backbone
from ..diffusion.init_noise import NoiseInit
from ..diffusion.noise_process import NoiseProcess

ReadoutName = Literal["linear", "decoder"]
SCALE = 8
"""Pixels to a latent along each side, of all codecs here."""


class Codec(Protocol):
    """Pictures in [-1, 1] to latents, and latents to frames."""

    def encode(self, pictures: Tensor) -> Tensor:
        """(N, 3, H, W), each by itself -> (N, C, h, w)."""

    def encode_clip(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """(F, 3, H, W), the frames of one clip, on any device -> mean and standard deviation of its latent frames, both
        ((F - 1) / `stride` + 1, C, h, w)."""

    def decode(self, latents: Tensor) -> Tensor:
        """(F, C, h, w) latent frames of one clip -> its frames (`stride` (F - 1) + 1, 3, H, W)."""


@dataclass(frozen=True)
class Base:
    """A video model ready to animate.

    Attributes:
        name: what `load_base` was asked for.
        model: the denoiser, frozen, in eval mode.
        codec: pictures to latents.
        scheduler: a diffusers scheduler; each run works on a copy of it.
        backbone: description of `model`.
        frames: length of the clips it was trained on.
        longest: the most frames it can make.
        size: (height, width) it was trained on, pixels.
        stride: frames to a latent frame, after the first, which stands alone.
        multiple: height and width must be multiples of this.
        fps: frame rate the clips are meant for.
        centred: the noise is centred on the first frame: x_t = x^1 + alpha (x - x^1) + sigma eps.
        text: (1, words, dim) caption that says nothing, or None for models that run without one.
        text_per_frame: the model wants the caption once for every frame, not once for every clip.
        steps: denoising steps that it needs, unless the user says otherwise.
        noise: how its start latents are drawn, likewise.
        adain: whether its clips end with AdaIN, likewise.
        readout: how masks are read off their latents, likewise: "linear", or by its full "decoder".
        last_timestep: of its scheduler, in [0, `num_train_timesteps`), at which the last denoising step is made where
            the user chooses no scheduler; None leaves that to the scheduler.
        predicts_flow: the model also answers where in the first frame each pixel comes from, see `WarpingUNet`.
        captions: (n, words, dim) captions that say a motion, or None if none are known.
    """

    name: str
    model: nn.Module
    codec: Codec
    scheduler: Any
    backbone: Backbone
    frames: int
    longest: int
    stride: int
    size: tuple[int, int]
    multiple: int
    fps: int
    centred: bool
    text: Tensor | None
    text_per_frame: bool
    steps: int
    noise: NoiseInit
    adain: bool
    readout: ReadoutName = "linear"
    last_timestep: int | None = None
    predicts_flow: bool = False
    captions: Tensor | None = None

    def with_drawn_caption(self, seed: int) -> "Base":
        """This base under one of its captions, drawn by the seed, for runs without a motion.

        Told nothing, a small base does not choose among the motions that it knows: it makes their mean, a blur.
        """
        if self.captions is None:
            return self
        drawn = torch.randint(len(self.captions), (1,), generator=torch.Generator().manual_seed(seed))
        return replace(self, text=self.captions[drawn.to(self.captions.device)])

    @property
    def noise_process(self) -> NoiseProcess:
        """The noise that it was trained on."""
        return NoiseProcess(self.scheduler, self.centred)

    @property
    def networks(self) -> tuple[nn.Module, nn.Module]:
        """What takes memory: the denoiser and the autoencoder of its codec."""
        return self.model, getattr(self.codec, "vae", self.codec)

    def latent_shape(self, frames: int, size: tuple[int, int]) -> tuple[int, int, int, int, int]:
        """(1, C, F, h, w) of the latents of a clip of so many frames and (height, width) pixels."""
        height, width = (side // SCALE for side in size)
        return 1, self.model.config.in_channels, (frames - 1) // self.stride + 1, height, width

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @torch.no_grad()
    def encode(self, picture: Tensor) -> Tensor:
        """Latent (1, C, 1, h, w) of a picture (H, W, 3) in [0, 1], float32 on the model's device."""
        pixels = rearrange(picture.to(self.device, torch.float32) * 2 - 1, "h w c -> 1 c h w")
        return rearrange(self.codec.encode(pixels), "1 c h w -> 1 c 1 h w")

    @torch.no_grad()
    def encode_clip(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the latents of a clip, both (C, F, h, w) float32, on the model's device.

        Args:
            frames: (`stride` (F - 1) + 1, 3, H, W) in [0, 1].
        """
        mean, std = self.codec.encode_clip(frames.float() * 2 - 1)
        return mean.transpose(0, 1), std.transpose(0, 1)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Frames (`stride` (F - 1) + 1, H, W, 3) in [0, 1] of latents (1, C, F, h, w), float32 on the CPU."""
        pixels = self.codec.decode(rearrange(latents, "1 c f h w -> f c h w"))
        return rearrange((pixels / 2 + 0.5).clamp(0, 1), "f c h w -> f h w c").float().cpu()
