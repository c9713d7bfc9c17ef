"""A small random Stable Diffusion 1.5: ComfyUI's own U-Net, and the engine's base of the same files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.model_patcher
import comfy.supported_models
import comfy.utils
import pytest
import torch
from comfyui_miva.miva_core import Base
from comfyui_miva.miva_core.bases.animatediff import loading
from diffusers import AutoencoderKL, UNetMotionModel
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.unit.single_files import UNET, VAE, motion_module, stable_diffusion, write_configs

from .vaes import sd15_vae

VERSIONS = ("v1", "v2", "v3")
WIDTHS = UNET["block_out_channels"]
SHAPE = {
    **{"image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": WIDTHS[0], "num_res_blocks": [2] * 4},
    **{"channel_mult": tuple(width // WIDTHS[0] for width in WIDTHS), "context_dim": 768, "num_heads": 8},
    **{"transformer_depth": [1] * 6 + [0] * 2, "transformer_depth_output": [1] * 9 + [0] * 3},
    **{"transformer_depth_middle": 1, "num_head_channels": -1, "use_spatial_transformer": True, "legacy": False},
    **{"use_linear_in_transformer": False, "adm_in_channels": None, "use_temporal_attention": False},
    **{"use_checkpoint": False, "dtype": torch.float32},
}
"""ComfyUI tells a U-Net by its width, 320; this one is 32 wide, so its shape is said here."""


@dataclass(frozen=True)
class SmallSD15:
    """A checkpoint and motion modules, 32 channels wide, in files of the layouts that people have.

    Attributes:
        folder: sd15.safetensors, v1.safetensors, v2.safetensors, v3.safetensors and the engine's configs for them.
        model: MODEL of the checkpoint, without a motion module, with the betas of Stable Diffusion.
        vae: VAE of the checkpoint.
    """

    folder: Path
    model: Any
    vae: Any

    @classmethod
    def make(cls, folder: Path) -> SmallSD15:
        generator = torch.Generator().manual_seed(1)
        unet = _random(UNetMotionModel(**UNET, motion_max_seq_length=32, use_motion_mid_block=True), generator)
        vae = _random(AutoencoderKL(**VAE), generator)
        save_file({k: v.contiguous() for k, v in stable_diffusion(unet, vae).items()}, folder / "sd15.safetensors")
        for version, state in _motion_modules(unet).items():
            save_file(state, folder / f"{version}.safetensors")
        write_configs(folder, loading.CONFIGS)
        return cls(folder, native_sd15(folder / "sd15.safetensors"), sd15_vae(vae))

    @property
    def checkpoint(self) -> Path:
        return self.folder / "sd15.safetensors"

    def motion(self, version: str) -> Path:
        """The file of a motion module: "v1", "v2" or "v3"."""
        return self.folder / f"{version}.safetensors"

    @contextmanager
    def configured(self) -> Iterator[None]:
        """The engine expects models as small as this one, until the end of the with block."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loading, "CONFIGS", self.folder)
            yield

    def base(self, version: str = "v3", checkpoint: Path | None = None) -> Base:
        """The engine's base by these files, of diffusers models.

        Args:
            version: of the motion module. checkpoint: another file than `checkpoint`.
        """
        with self.configured(), torch.inference_mode(False):
            return loading.load_animatediff(checkpoint or self.checkpoint, self.motion(version))


def _random(model: nn.Module, generator: torch.Generator) -> Any:
    """Weights such that every part is heard in the output."""
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim > 1:
            parameter.data = noise * parameter[0].numel() ** -0.5
        else:
            parameter.data = 1 + 0.1 * noise if "norm" in name and name.endswith("weight") else 0.05 * noise
    return model.eval().requires_grad_(False)


def _motion_modules(unet: UNetMotionModel) -> dict[str, dict[str, Tensor]]:
    """By version: v2 alone has one in the middle, v1 is for 24 frames."""
    second = {name: value.contiguous() for name, value in motion_module(unet).items()}
    third = {name: value for name, value in second.items() if not name.startswith("mid_block")}
    first = {k: v[:, :24].contiguous() if k.endswith(".pe") else v for k, v in third.items()}
    return {"v1": first, "v2": second, "v3": third}


def native_sd15(checkpoint: Path) -> Any:
    """MODEL of such a checkpoint."""
    cpu = torch.device("cpu")
    with torch.inference_mode():
        state = comfy.utils.load_torch_file(str(checkpoint))
        config = comfy.supported_models.SD15(SHAPE)
        config.set_inference_dtype(torch.float32, None)
        model = config.get_model(state, "model.diffusion_model.", device=cpu)
        model.load_model_weights(state, "model.diffusion_model.")
        return comfy.model_patcher.ModelPatcher(model, cpu, cpu)


def as_rows(clip: Tensor) -> Tensor:
    """(1, C, F, h, w) of the engine to (F, C, h, w) of a LATENT."""
    return clip[0].transpose(0, 1).contiguous()
