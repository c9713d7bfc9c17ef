"""Start noise that holds the low frequencies of the picture, as one of ComfyUI's NOISE objects."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from comfy_api.v0_0_2 import io
from torch import Tensor

from ..miva_core.diffusion.init_noise import SD15_STRENGTH, LowBand, NoiseInit, Shape
from ..miva_core.errors import MIVAError
from ..miva_core.media.pictures import fit_picture
from . import comfy_bridge
from .comfy_bridge.native.plan import STRUCTURED
from .masks import pictures_of
from .messages import friendly_errors
from .sockets import MivaModel, ModelSocket

if TYPE_CHECKING:
    from ..miva_core.animation.options import RunOptions
    from ..miva_core.bases.base import Base

OPTIONS = "miva_run_options"
"""Key in what a NOISE is given: `RunOptions` of clips at full size; latents do not tell what the base is shown then."""


class DCTInitNoise:
    """A NOISE: it has `seed` and `generate_noise`, as samplers expect.

    Args:
        model: a `MivaModel`, or a MODEL of ComfyUI.
        vae: the VAE of such a MODEL; None for a `MivaModel`.
        pictures: (N, H, W, 3) in [0, 1]: one for each clip of a batch, or one for all.
        init: how the noise is made.
        seed: of the first clip; each further one has the next higher seed.
        fit: how a picture of another aspect is fitted, "crop" or "pad".
    """

    def __init__(
        self, model: Any, vae: Any, pictures: Tensor, init: NoiseInit, seed: int, fit: Literal["crop", "pad"]
    ) -> None:
        self._model, self._vae, self._pictures, self._init, self.seed, self._fit = model, vae, pictures, init, seed, fit

    def generate_noise(self, input_latent: dict[str, Any]) -> Tensor:
        """Draw the noise.

        The first frame is plain noise; a sampler of this pack puts the clean picture there.

        Args:
            input_latent: its "samples" are (B, C, F, h, w), or (F, C, h, w) where frames are a batch; `OPTIONS` are
                those of the runs where MIVA Sampler renders clips at full size.

        Returns:
            Noise of that shape, with `STRUCTURED` as an attribute, so that Apply MIVA leaves it as it is.

        Raises:
            MIVAError: it is for another model, or for another number of clips than there are pictures.
        """
        samples = input_latent["samples"]
        if samples.is_nested:
            raise MIVAError(
                "DCTInit Noise makes noise for video alone, but this latent has sound in it, too: connect Random Noise."
            )
        frames_first = samples.ndim == 4
        shape = (1, samples.shape[1], len(samples), *samples.shape[2:]) if frames_first else tuple(samples.shape)
        if len(self._pictures) not in (1, shape[0]):
            made = "1 clip" if shape[0] == 1 else f"{shape[0]} clips"
            raise MIVAError(
                f"DCTInit Noise was made of {len(self._pictures)} pictures, but the sampler makes {made}: connect the "
                "same pictures to both."
            )
        options = input_latent.get(OPTIONS)
        priors = [self._prior(picture, shape[-2:], options).float().cpu() for picture in self._pictures]
        if priors[0].shape[1] != shape[1]:
            raise MIVAError(
                f"DCTInit Noise was made for latents of {priors[0].shape[1]} channels, but the sampler's have "
                f"{shape[1]}: connect the same model to both, and its own VAE."
            )
        clips = [self._of_clip(priors[k % len(priors)], shape, (self.seed + k) % 2**64) for k in range(shape[0])]
        noise = torch.cat(clips)
        noise = noise[0].transpose(0, 1) if frames_first else noise
        noise = noise.to(samples.dtype).contiguous()
        setattr(noise, STRUCTURED, True)
        return noise

    def _of_clip(self, prior: Tensor, shape: tuple[int, ...], seed: int) -> Tensor:
        """(1, C, F, h, w) of one clip."""
        start = self._init.start_latents(prior, shape[2], torch.Generator().manual_seed(seed))
        # Where the clean latent stands for the sampler's own use, plain noise of the same draw is put instead.
        first = torch.randn((1, *shape[1:]), generator=torch.Generator().manual_seed(seed))[:, :, :1]
        return torch.cat([first, start[:, :, 1:]], dim=2)

    def _prior(self, picture: Tensor, size: tuple[int, int], options: "RunOptions | None") -> Tensor:
        """A picture's latent (1, C, 1, h, w) at the size of the sampler's."""
        if isinstance(self._model, MivaModel):
            base = self._model.base
            seen = self._seen(base, picture, (size[0] * base.scale, size[1] * base.scale), options)
            self._model.load_to_device(0)
            return base.noise_process.relative(base.encode(seen))
        scale = comfy_bridge.native_scale(self._vae)
        fitted = fit_picture(picture, (size[0] * scale, size[1] * scale), self._fit)[0]
        latent = comfy_bridge.native_latent(self._model, self._vae, fitted[None])
        return latent if latent.ndim == 5 else latent[:, :, None]

    def _seen(self, base: "Base", picture: Tensor, size: tuple[int, int], options: "RunOptions | None") -> Tensor:
        """What the base sees of a picture: all of the clip's first frame, squashed, where that is at full size."""
        if options is None or not base.predicts_flow:
            return fit_picture(picture, size, self._fit)[0]
        from ..miva_core.animation.shot import Shot

        return Shot.framed(base, picture, {}, replace(options, fit=self._fit)).conditioning.picture


class MIVADCTInitNoise(io.ComfyNode):
    """DCTInit, section 3.3."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIVADCTInitNoise",
            display_name="DCTInit Noise",
            category="MIVA",
            description="Start noise whose low frequencies come from the picture, which keeps its layout steady. MIVA "
            "Sampler and Apply MIVA make such noise by themselves; connect this to change how. On the built-in bases "
            "there is little to see. It works in SamplerCustomAdvanced, too, with any video model and an empty latent; "
            "without Apply MIVA the first frame is plain noise there.",
            search_aliases=["dct", "init noise", "random noise", "structured noise", "low frequency noise"],
            inputs=[
                io.MultiType.Input(
                    "model",
                    [ModelSocket, io.Model],
                    tooltip="From Load MIVA Base; or a model of ComfyUI's own, which also needs its VAE below.",
                ),
                io.Image.Input(
                    "image",
                    tooltip="The picture that the clip begins with; for a batch of clips one each, or one for all.",
                ),
                io.Int.Input(
                    "noise_seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="Another seed, another clip. Each further clip of a batch has the next higher one.",
                ),
                io.Boolean.Input(
                    "dct",
                    default=True,
                    tooltip="Whether the low band comes from the picture; off, it is noise as all else is.",
                ),
                io.Float.Input(
                    "strength",
                    default=SD15_STRENGTH,
                    min=0.0,
                    max=1.0,
                    step=0.001,
                    round=0.0001,
                    tooltip="Share of the picture in the low band. 0.0787 is the paper's for Stable Diffusion 1.5; "
                    "more holds the layout harder and moves less.",
                ),
                io.Float.Input(
                    "cutoff",
                    default=0.23,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="How wide the low band is, as a share of all frequencies along each axis.",
                    advanced=True,
                ),
                io.Combo.Input(
                    "shape",
                    options=["rect", "tri"],
                    default="rect",
                    tooltip="The whole box of low frequencies, or its lower triangle.",
                    advanced=True,
                ),
                io.Combo.Input(
                    "low_band",
                    options=["own", "shared"],
                    default="own",
                    tooltip="own: every frame has noise of its own in the low band. shared: all frames have that of "
                    "the first, as in the paper's Algorithm 1, which moves less.",
                    advanced=True,
                ),
                io.Float.Input(
                    "shared_noise",
                    default=0.05,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Share of the first frame's noise in all others. 0 draws every frame's by itself.",
                    advanced=True,
                ),
                io.Combo.Input(
                    "fit",
                    options=["crop", "pad"],
                    default="crop",
                    tooltip="How a picture of another aspect is met. Set it as in the sampler.",
                    advanced=True,
                ),
                io.Vae.Input("vae", optional=True, tooltip="Only for a model of ComfyUI's own: its VAE."),
            ],
            outputs=[io.Noise.Output("noise", tooltip="For MIVA Sampler or SamplerCustomAdvanced.")],
        )

    @classmethod
    @friendly_errors
    def execute(
        cls,
        model: Any,
        image: Tensor,
        noise_seed: int,
        dct: bool,
        strength: float,
        cutoff: float,
        shape: Shape,
        low_band: LowBand,
        shared_noise: float,
        fit: Literal["crop", "pad"],
        vae: Any = None,
    ) -> io.NodeOutput:
        if vae is None and not isinstance(model, MivaModel):
            raise MIVAError("DCTInit Noise lacks the VAE of this model: connect the one that comes with it to `vae`.")
        init = NoiseInit(shared_noise, dct, strength, cutoff, shape, low_band)
        return io.NodeOutput(DCTInitNoise(model, vae, pictures_of(image), init, noise_seed, fit))
