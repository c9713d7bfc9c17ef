"""Files of a Wan 2.1 1.3B in the layout that people have, as wide as the real one but for what makes it large."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.sd
import comfy.utils
import pytest
import torch
from comfyui_miva.miva_core import Base
from comfyui_miva.miva_core.bases.wan import loading
from safetensors.torch import save_file

from .vaes import wan_vae_state
from .wan_models import random_state

_SHAPE = {"dim": 1536, "num_heads": 12, "ffn_dim": 32, "num_layers": 1}
"""The width tells the 1.3B model from others."""
_VAE_WIDTH = 8


@dataclass(frozen=True)
class WanFiles:
    """wan.safetensors and vae.safetensors in a folder, and the engine's configs for them."""

    folder: Path

    @classmethod
    def write(cls, folder: Path) -> WanFiles:
        save_file(random_state(**_SHAPE), folder / "wan.safetensors")
        save_file(wan_vae_state(_VAE_WIDTH), folder / "vae.safetensors")
        small = {"transformer": {"ffn_dim": 32, "num_layers": 1}, "vae": {"base_dim": _VAE_WIDTH}}
        for name, changed in small.items():
            config = json.loads((loading.CONFIGS / f"{name}.json").read_text()) | changed
            (folder / f"{name}.json").write_text(json.dumps(config))
        return cls(folder)

    @contextmanager
    def configured(self) -> Iterator[None]:
        """The engine expects models as small as these, until the end of the with block."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loading, "CONFIGS", self.folder)
            yield

    def base(self) -> Base:
        """The engine's base by these files, of diffusers models."""
        with self.configured(), torch.inference_mode(False):
            path = self.folder / "wan.safetensors"
            return loading.load_wan(path, self.folder / "vae.safetensors", dtype=torch.float32)

    def native(self) -> tuple[Any, Any]:
        """MODEL and VAE by these files."""
        with torch.inference_mode():
            state = comfy.utils.load_torch_file(str(self.folder / "vae.safetensors"))
            return comfy.sd.load_diffusion_model(str(self.folder / "wan.safetensors")), comfy.sd.VAE(sd=state)
