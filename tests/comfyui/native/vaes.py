"""Small random VAEs of ComfyUI's own."""

from typing import Any

import comfy.ldm.wan.vae
import comfy.sd
import torch
from diffusers import AutoencoderKL

from tests.unit.single_files import VAE, original_vae


def wan_vae(seed: int = 0) -> Any:
    """VAE of Wan 2.1: 16 channels, an eighth of the size, a fourth of the frames."""
    generator = torch.Generator().manual_seed(seed)
    shapes = comfy.ldm.wan.vae.WanVAE(dim=8, z_dim=16).state_dict()
    with torch.inference_mode():
        return comfy.sd.VAE(
            sd={name: 0.05 * torch.randn(value.shape, generator=generator) for name, value in shapes.items()}
        )


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
