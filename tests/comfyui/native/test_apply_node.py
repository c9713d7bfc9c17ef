"""Apply MIVA, Load Motion Module and MIVA Masks in a real ComfyUI."""

from pathlib import Path
from typing import Any

import pytest
import torch
from comfyui_miva.miva_core.adapters.adapter import MIVAAdapter

from .adapters import SMALL, random_adapter
from .real_comfyui import MODELS, NODES
from .runs import ksampler
from .wan_models import SmallWan


def save(adapter: MIVAAdapter, name: str) -> str:
    """The name in menus of a motion that was put into the folder of motions."""
    path = Path(MODELS, "miva", f"{name}.safetensors")
    path.parent.mkdir(exist_ok=True)
    adapter.save(path, adapter.info(motion=name, frames=16, size=(64, 64), fps=8.0))
    return path.name


def motion(name: str, **settings: Any) -> Any:
    values = {"weight": 1.0, "start_percent": 0.0, "end_percent": 1.0} | settings
    return NODES["MIVALoad"].execute(miva_name=name, **values)[0]


def apply(model: Any, vae: Any, mivas: Any, **settings: Any) -> Any:
    usual = {"image": torch.rand(1, 50, 80, 3), "width": 64, "height": 48, "length": 9, "fit": "crop"}
    return NODES["MIVAApply"].execute(model=model, vae=vae, mivas=mivas, dct_init=True, adain=True, **usual | settings)


def test_a_clip_of_wan_begins_with_the_picture(wan: SmallWan, wan_vae: Any) -> None:
    name = save(random_adapter(wan.backbone), "pan")
    model, positive, negative, latent = apply(wan.model, wan_vae, motion(name)).args
    clip = ksampler(model, latent, positive, negative=negative, steps=2)["samples"]
    assert clip.shape == (1, 16, 3, 6, 8) and clip.isfinite().all()
