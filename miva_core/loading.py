"""Bases from local files. Nothing is ever downloaded."""

import json
from pathlib import Path

import torch
from safetensors import safe_open

from .backbones import describe
from .base import Base
from .errors import MIVAError
from .init_noise import NoiseInit

TINY_FOLDER = Path(__file__).parent / "tiny"
BASES = ("tiny",)


def load_base(name: str, *, device: torch.device | str = "cpu") -> Base:
    """Load a base, frozen and in eval mode.

    Args:
        name: "tiny", the small model that is part of this package.

    Raises:
        MIVAError: an unknown name, or files of the package are missing.
    """
    if name not in BASES:
        raise MIVAError(f"There is no base {name!r}; known are {', '.join(BASES)}.")
    return load_tiny(TINY_FOLDER, device)


def load_tiny(folder: Path, device: torch.device | str = "cpu") -> Base:
    """Load the built-in base from the folder that `tools/train_tiny.py export` wrote."""
    from diffusers import DDIMScheduler, UNetMotionModel

    from .patch_codec import PatchCodec
    from .per_frame_norm import use_per_frame_norm

    for part in ("settings.json", "words.safetensors", "unet", "codec", "scheduler"):
        if not (folder / part).exists():
            raise MIVAError(f"The built-in base lacks {folder / part}: install the package again.")
    settings = json.loads((folder / "settings.json").read_text())
    model = UNetMotionModel.from_pretrained(folder, subfolder="unet", local_files_only=True, torch_dtype=torch.float32)
    use_per_frame_norm(model)
    codec = PatchCodec.from_pretrained(folder, subfolder="codec", local_files_only=True, torch_dtype=torch.float32)
    with safe_open(folder / "words.safetensors", framework="pt") as file:
        nothing_said = file.get_tensor("weight").float()[:1].expand(1, settings["caption_words"], -1)
    return Base(
        name="tiny",
        model=model.to(device).eval().requires_grad_(False),
        codec=codec.to(device).eval().requires_grad_(False),
        scheduler=DDIMScheduler.from_pretrained(folder, subfolder="scheduler", local_files_only=True),
        backbone=describe(model),
        frames=settings["frames"],
        size=tuple(settings["size"]),
        multiple=settings["multiple"],
        fps=settings["fps"],
        centred=settings["centred"],
        text=nothing_said.to(device),
        noise=NoiseInit(**settings["noise"]),
    )
