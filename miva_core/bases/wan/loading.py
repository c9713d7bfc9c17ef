"""The bases people have on disk: text-to-video models of Wan 2.1 and 2.2, with their VAE."""

import os
import re
import warnings
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanTransformer3DModel
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers, convert_wan_vae_to_diffusers
from einops import rearrange
from torch import Tensor, nn

from ...attention.turns import take_turn
from ...diffusion.init_noise import NoiseInit
from ...errors import MIVAError, MIVAWarning
from ...storage.json_files import read_json
from ...storage.meta_device import fill, on_meta
from ...storage.weights import identify_weights, open_weights
from ..base import Base
from .releases import CONFIGS, WAN_2_1_1_3B, Release
from .sites import NOT_THE_5B, describe_wan

_PREFIX = "model.diffusion_model."
_VAE = "a Wan VAE"
_WHERE_VAE = "wan_2.1_vae.safetensors from huggingface.co/Comfy-Org/Wan_2.1_ComfyUI_repackaged, also for Wan 2.2 14B"
_EXPERT = re.compile(r"(high|low)[ _-]?noise", re.IGNORECASE)


class WanVAE:
    """Wan's causal video autoencoder as a `Codec`: a picture is a clip of one frame.

    The autoencoder of diffusers stores features of the clip in hand, so that threads take turns.
    """

    def __init__(self, vae: AutoencoderKLWan) -> None:
        self.vae = vae
        self.mean, self.std = (
            torch.tensor(values)[:, None, None] for values in (vae.config.latents_mean, vae.config.latents_std)
        )

    @property
    def network(self) -> nn.Module:
        """The autoencoder."""
        return self.vae

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) in [-1, 1] to the mean of their latents (N, 16, H/8, W/8), normalised."""
        clips = rearrange(pictures.to(self.vae.dtype), "n c h w -> n c 1 h w")
        with take_turn(self.vae):
            latents = self.vae.encode(clips).latent_dist.mode()[:, :, 0].float()
        return (latents - self.mean.to(latents)) / self.std.to(latents)

    @torch.no_grad()
    def encode_clip(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """A clip (4 (F - 1) + 1, 3, H, W) to mean and standard deviation, (F, 16, h, w) each, of it as a whole."""
        clip = rearrange(frames.to(self.vae.device, self.vae.dtype), "f c h w -> 1 c f h w")
        with take_turn(self.vae):
            posterior = self.vae.encode(clip).latent_dist
        mean, std = (rearrange(part, "1 c f h w -> f c h w").float() for part in (posterior.mean, posterior.std))
        return (mean - self.mean.to(mean)) / self.std.to(mean), std / self.std.to(std)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Latent frames (F, 16, h, w) of one clip to its frames (4 (F - 1) + 1, 3, 8h, 8w), about in [-1, 1]."""
        latents = latents * self.std.to(latents) + self.mean.to(latents)
        with take_turn(self.vae):
            clip = self.vae.decode(rearrange(latents.to(self.vae.dtype), "f c h w -> 1 c f h w")).sample
        return rearrange(clip, "1 c f h w -> f c h w")


def load_wan(
    checkpoint: str | os.PathLike[str],
    vae: str | os.PathLike[str],
    *,
    release: Release = WAN_2_1_1_3B,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.bfloat16,
) -> Base:
    """Load a text-to-video Wan, frozen, without a text encoder.

    The time embedding, the modulation tables and the norms stay in float32, as Wan was trained. All releases run, and
    are trained on, with the noise schedule of 1.3B, shifted by 5.

    Args:
        checkpoint: the original file, the one repacked for ComfyUI, or the one of diffusers; a `MIVAWarning` says so if
            it is called like the other expert.
        vae: the Wan 2.1 VAE, original, for ComfyUI or of diffusers.
        release: which of them; experts of Wan 2.2 cannot be told from Wan 2.1 14B, nor from each other.
        device: where the networks are to be.
        dtype: of the rest of the transformer and of the VAE.

    Raises:
        MIVAError: a file is missing, damaged or something else; or `dtype` is float16, whose range Wan leaves.
    """
    if dtype == torch.float16:
        raise MIVAError("Wan cannot run in float16, whose range its activations leave: take bfloat16 or float32.")
    tensors = read_transformer(checkpoint, release)
    pictures = _open(vae, _VAE, _WHERE_VAE)
    _warn_of_another_expert(Path(checkpoint).name, release)

    model = meta_transformer(release)
    kept = tuple(model._keep_in_fp32_modules)
    fill(
        model,
        tensors,
        str(checkpoint),
        device,
        lambda name: torch.float32 if any(part in name for part in kept) else dtype,
    )
    place_rope(model, device)
    autoencoder = on_meta(lambda: AutoencoderKLWan.from_config(read_json(CONFIGS / "vae.json")))
    if not any(name.startswith("encoder.conv_in.") for name in pictures):
        pictures = convert_wan_vae_to_diffusers(pictures)
    fill(autoencoder, pictures, str(vae), device, lambda _: dtype)

    return Base(
        name=release.name,
        model=model,
        codec=WanVAE(autoencoder),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=5.0),
        backbone=describe_wan(model),
        frames=17,
        longest=81,
        scale=8,
        stride=4,
        size=(480, 832),
        multiple=16,
        fps=8,
        centred=False,
        # It cannot run without a text; with adapters at a total weight of 1 it has no effect.
        text=torch.zeros(1, 1, model.config.text_dim, device=device),
        text_per_frame=False,
        steps=50,
        noise=NoiseInit(),
        adain=True,
        levels=release.levels,
        # The other releases have one structure between them.
        release="" if release is WAN_2_1_1_3B else release.menu,
    )


def meta_transformer(release: Release = WAN_2_1_1_3B) -> WanTransformer3DModel:
    """Build the transformer of a release without weights."""
    return on_meta(lambda: WanTransformer3DModel.from_config(read_json(CONFIGS / f"{release.config}.json")))


def place_rope(model: WanTransformer3DModel, device: torch.device | str) -> None:
    """Make the tables of rotary positions on a device; they are no part of any file."""
    model.rope = type(model.rope)(
        model.config.attention_head_dim, tuple(model.config.patch_size), model.config.rope_max_seq_len
    ).to(device)


def read_transformer(checkpoint: str | os.PathLike[str], release: Release = WAN_2_1_1_3B) -> dict[str, Tensor]:
    """The tensors of the file of a release by the names of diffusers, mapped rather than read.

    Raises:
        MIVAError: the file is missing, damaged or something else.
    """
    tensors = _open(checkpoint, release.kind, f"{release.file} from huggingface.co/{release.repository}")
    if any(name.startswith("condition_embedder.") for name in tensors):
        return tensors
    return convert_wan_transformer_to_diffusers(tensors)


def _open(path: str | os.PathLike[str], wanted: str, example: str) -> dict[str, Tensor]:
    tensors = open_weights(path, wanted.removeprefix("a "))
    kind = identify_weights(tensors)
    if kind.startswith("a Wan 2.2 5B model"):
        raise MIVAError(f"{path} cannot be used: {NOT_THE_5B}")
    if kind != wanted:
        raise MIVAError(f"{path} is {kind}, but {wanted} was expected, such as {example}.")
    return {name.removeprefix(_PREFIX): tensor for name, tensor in tensors.items()}


def _warn_of_another_expert(name: str, release: Release) -> None:
    """Files of both experts have the same shapes: only their names tell which is which."""
    named = _EXPERT.search(name)
    if named and named[1].lower() != release.expert:
        text = f"{name} is called {named[1].lower()} noise, but is loaded as {release.menu}"
        warnings.warn(f"{text}: choose another base, unless the name is wrong.", MIVAWarning, stacklevel=3)
