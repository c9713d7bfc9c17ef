"""A base: a frozen video model with all it needs to turn a picture into a clip."""

from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, cast

import torch
from einops import rearrange
from torch import Tensor, nn

from ..adapters.backbone import Backbone
from ..diffusion.init_noise import NoiseInit
from ..diffusion.noise_process import NoiseProcess
from ..diffusion.schedulers import SettableScheduler
from .caption_entries import CaptionEntries
from .vocabulary import Vocabulary

ReadoutName = Literal["linear", "decoder"]


class Codec(Protocol):
    """An autoencoder of pictures and clips; pixels are in [-1, 1], h and w are H and W divided by `Base.scale`."""

    @property
    def network(self) -> nn.Module:
        """The module that holds its weights."""
        ...

    def encode(self, pictures: Tensor) -> Tensor:
        """Encode pictures, each by itself.

        Args:
            pictures: (N, 3, H, W), on the network's device.

        Returns:
            Latents (N, C, h, w), float32.
        """
        ...

    def encode_clip(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Encode the frames of one clip.

        Args:
            frames: (F, 3, H, W), on any device.

        Returns:
            Mean and standard deviation of the latent frames, both ((F - 1) / `stride` + 1, C, h, w), float32.
        """
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Decode the latent frames of one clip.

        Args:
            latents: (F, C, h, w).

        Returns:
            Frames (`stride` (F - 1) + 1, 3, H, W), about in [-1, 1], not clipped.
        """
        ...


Response = tuple[tuple[float, float], ...]
"""Pairs (weight, speed), see `Base.response`."""


@dataclass(frozen=True)
class Base:
    """A video model ready to animate.

    Attributes:
        name: `BaseSpec.name`, what `load_base` was asked for.
        model: the denoiser, frozen, in eval mode.
        codec: pictures to latents.
        scheduler: a diffusers scheduler; each run works on a copy of it.
        backbone: description of `model`.
        frames: length of the clips it was trained on.
        longest: the most frames it can make.
        size: (height, width) it was trained on, pixels.
        scale: pixels to a latent along each side.
        stride: frames to a latent frame; the first frame has a latent frame to itself.
        multiple: height and width must be multiples of this.
        fps: frame rate the clips are meant for.
        centred: whether the noise is centred on the first frame: x_t = x^1 + alpha (x - x^1) + sigma eps.
        text: (1, words, dim) embedding of an empty caption, or None for models that run without one.
        text_per_frame: whether the model takes the caption once for every frame, rather than once for every clip.
        steps: denoising steps that it needs; the default of a run.
        noise: how its start latents are drawn; the default of a run.
        adain: whether its clips end with AdaIN; the default of a run.
        readout: how masks are read off their latents, "linear" or by its full "decoder"; the default of a run.
        last_timestep: of its scheduler, in [0, `num_train_timesteps`), at which the last denoising step is made where
            the user chooses no scheduler; None leaves that to the scheduler.
        predicts_flow: whether the model also predicts where in the first frame each pixel comes from, see
            `WarpingUNet`.
        response: (weight, speed) in rising order: at which share of its speed a camera motion runs by its weight, with
            straight lines between and beyond.
        captions: (n, words, dim) embeddings of captions that name a motion, or None if it has none.
        vocabulary: the words that it knows by heart, or None for bases whose texts need an encoder.
        levels: the part of its timesteps that it was trained on, as shares of all, of which 0 is clean and 1 noise. Of
            models that share a run, as the experts of Wan 2.2 do, each has a part; an adapter is trained on it alone.
        guided: whether its model takes a `Guide` beside its clips.
        guided_entries: of its captions, where they have slots, what moves by a guide; adapters learn it with that guide
            alone.
        keeps_aspect: whether at full size it works at the aspect of the picture, its shorter side as long as that of
            `size`; all others are shown the picture squashed to `size`.
        release: what people call it, recorded in adapters that are trained on it; empty where `backbone` says it.
    """

    name: str
    model: nn.Module
    codec: Codec
    scheduler: SettableScheduler
    backbone: Backbone
    frames: int
    longest: int
    scale: int
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
    response: Response = ((0.0, 0.0), (1.0, 1.0))
    captions: Tensor | None = None
    vocabulary: Vocabulary | None = None
    levels: tuple[float, float] = (0.0, 1.0)
    guided: bool = False
    guided_entries: CaptionEntries | None = None
    keeps_aspect: bool = False
    release: str = ""

    def with_drawn_caption(self, seed: int) -> "Base":
        """This base with one of its captions, drawn by the seed, for runs without a motion.

        With an empty caption a small base does not choose among the motions that it was trained on: it makes their
        mean, a blur.

        Args:
            seed: of the run.
        """
        if self.captions is None:
            return self
        drawn = torch.randint(len(self.captions), (1,), generator=torch.Generator().manual_seed(seed))
        return replace(self, text=self.captions[drawn.to(self.captions.device)])

    @property
    def under_caption(self) -> bool:
        """Whether its caption is one of those that say a motion."""
        if self.captions is None or self.text is None:
            return False
        return any(torch.equal(caption, self.text[0]) for caption in self.captions)

    @property
    def noise_process(self) -> NoiseProcess:
        """The noise that it was trained on."""
        return NoiseProcess(self.scheduler, self.centred)

    @property
    def networks(self) -> tuple[nn.Module, nn.Module]:
        """The modules that take memory: the denoiser and the codec's."""
        return self.model, self.codec.network

    def latent_shape(self, frames: int, size: tuple[int, int]) -> tuple[int, int, int, int, int]:
        """The shape (1, C, F, h, w) of a clip's latents.

        Args:
            frames: of the clip.
            size: height and width of the clip, pixels.
        """
        height, width = (side // self.scale for side in size)
        config: Any = self.model.config
        return 1, config.in_channels, (frames - 1) // self.stride + 1, height, width

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """What the model computes in."""
        return cast(torch.dtype, self.model.dtype)

    @torch.no_grad()
    def encode(self, picture: Tensor) -> Tensor:
        """Encode a picture.

        Args:
            picture: (H, W, 3) in [0, 1].

        Returns:
            Its latent (1, C, 1, h, w), float32 on the model's device.
        """
        pixels = rearrange(picture.to(self.device, torch.float32) * 2 - 1, "h w c -> 1 c h w")
        return rearrange(self.codec.encode(pixels), "1 c h w -> 1 c 1 h w")

    @torch.no_grad()
    def encode_clip(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Encode a clip.

        Args:
            frames: (`stride` (F - 1) + 1, 3, H, W) in [0, 1].

        Returns:
            Mean and standard deviation of its latents, both (C, F, h, w), float32 on the model's device.
        """
        mean, std = self.codec.encode_clip(frames.float() * 2 - 1)
        return mean.transpose(0, 1), std.transpose(0, 1)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Decode a clip.

        Args:
            latents: (1, C, F, h, w).

        Returns:
            Its frames (`stride` (F - 1) + 1, H, W, 3) in [0, 1], float32 on the CPU.
        """
        pixels = self.codec.decode(rearrange(latents, "1 c f h w -> f c h w"))
        return rearrange((pixels / 2 + 0.5).clamp(0, 1), "f c h w -> f h w c").float().cpu()
