"""The base people have on disk: a Stable Diffusion 1.5 checkpoint with an AnimateDiff motion module."""

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNetMotionModel
from diffusers.loaders.single_file_utils import (
    convert_animatediff_checkpoint_to_diffusers,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
)
from torch import Tensor, nn

from ...diffusion.init_noise import NoiseInit
from ...errors import MIVAError
from ...storage.json_files import read_json
from ...storage.meta_device import fill, on_meta
from ...storage.weights import open_weights
from ..base import Base
from .files import CHECKPOINT, VAE, WHERE, check_kind, motion_layout, open_motion_module
from .motion_positions import motion_positions, own_positions
from .per_frame_norm import use_per_frame_norm
from .pooled_norm import use_pooled_norm
from .sites import describe_unet

CONFIGS = Path(__file__).parent / "configs"
_UNET, _VAE = "model.diffusion_model.", "first_stage_model."


class ImageVAE:
    """A diffusers image autoencoder as a `Codec`: the mean of the latents, scaled; frames are decoded one by one."""

    def __init__(self, vae: AutoencoderKL) -> None:
        self.vae = vae

    @property
    def network(self) -> nn.Module:
        """The autoencoder."""
        return self.vae

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) in [-1, 1] to latents (N, 4, H/8, W/8)."""
        return self.vae.encode(pictures.to(self.vae.dtype)).latent_dist.mode().float() * self.vae.config.scaling_factor

    @torch.no_grad()
    def encode_clip(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (F, 3, H, W) to mean and standard deviation, (F, 4, h, w) each, of every frame by itself."""
        posteriors = [
            self.vae.encode(frame.to(self.vae.device, self.vae.dtype)).latent_dist for frame in frames.split(1)
        ]
        scale = self.vae.config.scaling_factor
        mean, std = (torch.cat([getattr(one, part) for one in posteriors]).float() * scale for part in ("mean", "std"))
        return mean, std

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Latents (N, 4, h, w) to pictures (N, 3, 8h, 8w), about in [-1, 1], not clipped."""
        latents = (latents / self.vae.config.scaling_factor).to(self.vae.dtype)
        return torch.cat([self.vae.decode(frame).sample for frame in latents.split(1)])


def load_animatediff(
    checkpoint: str | os.PathLike[str],
    motion_module: str | os.PathLike[str],
    vae: str | os.PathLike[str] | None = None,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Base:
    """Load a Stable Diffusion 1.5 single file and a motion module, frozen, without a text encoder.

    The betas are `scaled_linear`, as MIVA trains, not `linear` as AnimateDiff does. As AnimateDiff trained them, the
    motion modules normalise each frame by itself, and with v1 the ResNets all frames together. Positional encodings of
    the file that are not the usual sinusoid are used; a `MIVAWarning` says so.

    Args:
        checkpoint: .safetensors or .ckpt with the U-Net and, if `vae` is None, the VAE.
        motion_module: AnimateDiff v1, v2 or v3.
        vae: a VAE to use in place of the checkpoint's.
        device: where the networks are to be.
        dtype: of the U-Net and the VAE.

    Raises:
        MIVAError: a file is missing, damaged or something else; the message says what it is.
    """
    image = _open_checkpoint(checkpoint)
    motion = open_motion_module(motion_module)
    pictures, pictures_file = (image, checkpoint) if vae is None else (open_weights(vae, "VAE"), vae)
    if vae is not None:
        check_kind(pictures, vae, VAE)

    layout = motion_layout(motion)
    model = meta_unet(motion_max_seq_length=layout.frames, use_motion_mid_block=layout.middle)
    named = convert_ldm_unet_checkpoint(_part(image, _UNET), model.config)
    named |= convert_animatediff_checkpoint_to_diffusers(_without(motion, "pos_embed"))
    positions, usual = motion_positions(model, motion, motion_module)
    fill(model, named | positions, f"{checkpoint} with {motion_module}", device, lambda _: dtype)
    use_per_frame_norm(model)
    if layout.pools_frames:
        use_pooled_norm(model)
    if not usual:
        warnings.warn(own_positions(motion_module), stacklevel=2)

    vae_config = read_json(CONFIGS / "vae.json")
    autoencoder = on_meta(lambda: AutoencoderKL.from_config(vae_config))
    inside = _part(pictures, _VAE)
    if vae is None and not inside:
        raise MIVAError(f"{checkpoint} has no VAE inside: give one as vae=…, {WHERE[VAE]}.")
    if vae is None or not any(name.startswith("encoder.down_blocks.") for name in pictures):
        inside = convert_ldm_vae_checkpoint(inside or pictures, vae_config)
    else:
        inside = pictures  # by the names of diffusers already
    fill(autoencoder, inside, f"The VAE of {pictures_file}", device, lambda _: dtype)

    return Base(
        name="animatediff",
        model=model,
        codec=ImageVAE(autoencoder),
        scheduler=DDIMScheduler.from_config(read_json(CONFIGS / "scheduler.json")),
        backbone=describe_unet(model),
        frames=16,
        longest=model.config.motion_max_seq_length,
        size=(320, 512),
        multiple=8,
        fps=8,
        centred=False,
        text=None,
        text_per_frame=True,
        scale=8,
        stride=1,
        steps=25,
        noise=NoiseInit(),
        adain=True,
    )


def meta_unet(**changes: Any) -> UNetMotionModel:
    """Build the U-Net without weights, for AnimateDiff v3 unless changed.

    Args:
        **changes: of its config.
    """
    config = read_json(CONFIGS / "unet.json") | {"motion_max_seq_length": 32, "use_motion_mid_block": False} | changes
    return on_meta(lambda: UNetMotionModel.from_config(config))


def read_unet(checkpoint: str | os.PathLike[str], config: Mapping[str, Any]) -> dict[str, Tensor]:
    """The U-Net of a Stable Diffusion 1.5 file by the names diffusers gives its tensors, mapped rather than read.

    Args:
        checkpoint: .safetensors or .ckpt.
        config: as in configs/unet.json.

    Raises:
        MIVAError: the file is missing, damaged or something else.
    """
    return convert_ldm_unet_checkpoint(_part(_open_checkpoint(checkpoint), _UNET), config)


def _open_checkpoint(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    tensors = open_weights(path, "Stable Diffusion 1.5 checkpoint")
    check_kind(tensors, path, CHECKPOINT)
    if any(name.startswith(_UNET) for name in tensors):
        return tensors
    # A file of a U-Net alone has no need to tell it from other parts.
    return {f"{_UNET}{name}": tensor for name, tensor in tensors.items()}


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _without(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if part not in name}
