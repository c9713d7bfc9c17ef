"""Small random VAEs of ComfyUI's own."""

from typing import Any

import comfy.ldm.wan.vae
import comfy.sd
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from tests.unit.single_files import VAE, original_vae


def wan_vae_state(width: int = 8, seed: int = 0) -> dict[str, Tensor]:
    """Weights of a VAE of Wan 2.1 by ComfyUI's names."""
    generator = torch.Generator().manual_seed(seed)
    net = comfy.ldm.wan.vae.WanVAE(dim=width, z_dim=16, temperal_downsample=[False, True, True])
    return {name: _random(name, value, generator) for name, value in net.state_dict().items()}


def _random(name: str, like: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn(like.shape, generator=generator)
    if name.endswith("gamma"):
        return 1 + 0.1 * noise
    return 0.05 * noise if like.ndim == 1 else noise * like[0].numel() ** -0.5


def wan_vae(seed: int = 0) -> Any:
    """VAE of Wan 2.1: 16 channels, an eighth of the size, a fourth of the frames."""
    with torch.inference_mode():
        return comfy.sd.VAE(sd=wan_vae_state(seed=seed))


def sd15_vae(vae: AutoencoderKL | None = None) -> Any:
    """VAE of Stable Diffusion 1.5: 4 channels, an eighth of the size.

    Args:
        vae: the diffusers model whose weights it gets, of the shape of `single_files.VAE`; None: random ones.
    """
    if vae is None:
        torch.manual_seed(0)
        vae = AutoencoderKL(**VAE)
    widths = VAE["block_out_channels"]
    coder = {"double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "dropout": 0.0}
    coder |= {"ch": widths[0], "ch_mult": [width // widths[0] for width in widths]}
    coder |= {"num_res_blocks": VAE["layers_per_block"], "attn_resolutions": []}
    with torch.inference_mode():
        return comfy.sd.VAE(sd=original_vae(vae), config={"params": {"ddconfig": coder, "embed_dim": 4}})
