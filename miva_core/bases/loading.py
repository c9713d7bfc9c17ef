"""Bases from local files. Nothing is ever downloaded."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from safetensors import safe_open

from ..adapters.backbone import Backbone
from ..adapters.info import AdapterInfo, read_info
from ..checks import printable
from ..diffusion.init_noise import NoiseInit
from ..errors import MIVAError
from ..storage.json_files import read_json
from .base import Base
from .describe import describe

TINY_FOLDER = Path(__file__).parent / "tiny" / "weights"
BASES = ("tiny", "animatediff", "wan")


def load_base(
    name: str,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    **files: str | os.PathLike[str] | None,
) -> Base:
    """Load a base, frozen and in eval mode.

    Args:
        name: "tiny", the small model that is part of this package, "animatediff" or "wan".
        dtype: of the model's weights; by default float16 ("animatediff") or bfloat16 ("wan") on a graphics card and
            float32 elsewhere. The built-in base is always float32.
        files: for "animatediff" `checkpoint`, `motion_module` and optionally `vae`, see `load_animatediff`; for "wan"
            `checkpoint` and `vae`, see `load_wan`.

    Raises:
        MIVAError: an unknown name, or a file is missing, unexpected, damaged or of another kind.
    """
    if name not in BASES:
        raise MIVAError(f"There is no base {name!r}; known are {', '.join(BASES)}.")
    required, optional = _FILES[name]
    given = {key: path for key, path in files.items() if path is not None}
    for key in required:
        if key not in given:
            needed = " and ".join(f"a {one.replace('_', ' ')}" for one in required)
            raise MIVAError(f"The base {name} needs {needed}: name the {key.replace('_', ' ')}, too.")
    for key in given:
        if key not in (*required, *optional):
            raise MIVAError(f"The base {name} takes no {key}: leave it out.")
    if name == "tiny":
        return load_tiny(TINY_FOLDER, device)
    on_card = torch.device(device).type == "cuda"
    if name == "animatediff":
        from .animatediff.loading import load_animatediff

        return load_animatediff(**given, device=device, dtype=dtype or (torch.float16 if on_card else torch.float32))
    from .wan.loading import load_wan

    return load_wan(**given, device=device, dtype=dtype or (torch.bfloat16 if on_card else torch.float32))


_FILES = {
    "tiny": ((), ()),
    "animatediff": (("checkpoint", "motion_module"), ("vae",)),
    "wan": (("checkpoint", "vae"), ()),
}
"""The files each base must have and may have."""


def load_tiny(folder: Path, device: torch.device | str = "cpu") -> Base:
    """Load the built-in base from the folder that `tools/train_tiny.py export` wrote."""
    from diffusers import DDIMScheduler

    from .animatediff.per_frame_norm import use_per_frame_norm
    from .tiny.patch_codec import PatchCodec
    from .tiny.warping_unet import WarpingUNet

    for part in ("settings.json", "words.safetensors", "unet", "codec", "scheduler"):
        if not (folder / part).exists():
            raise MIVAError(f"The built-in base lacks {folder / part}: install the package again.")
    settings = read_json(folder / "settings.json")
    # Without accelerate, diffusers would warn that it cannot save memory, of which nothing is needed here.
    options = {"local_files_only": True, "torch_dtype": torch.float32, "low_cpu_mem_usage": False}
    model = WarpingUNet.from_pretrained(folder, subfolder="unet", **options)
    use_per_frame_norm(model)
    codec = PatchCodec.from_pretrained(folder, subfolder="codec", **options)
    with safe_open(folder / "words.safetensors", framework="pt") as file:
        vectors = dict(zip(json.loads(file.metadata()["words"]), file.get_tensor("weight").float(), strict=True))
    nothing_said = vectors[""].expand(1, settings["caption_words"], -1)
    moves = [word for word in vectors if word.startswith("camera ") and word != "camera still"]
    captions = torch.stack([torch.stack([vectors[move], vectors["no subject"]]) for move in moves])
    return Base(
        name="tiny",
        model=model.to(device).eval().requires_grad_(False),
        codec=codec.to(device).eval().requires_grad_(False),
        scheduler=DDIMScheduler.from_pretrained(folder, subfolder="scheduler", local_files_only=True),
        backbone=replace(describe(model), revision=settings["revision"]),
        frames=settings["frames"],
        longest=model.config.motion_max_seq_length,
        size=tuple(settings["size"]),
        multiple=settings["multiple"],
        fps=settings["fps"],
        centred=settings["centred"],
        text=nothing_said.to(device),
        text_per_frame=True,
        stride=1,
        steps=settings["steps"],
        last_timestep=settings["last_timestep"],
        noise=NoiseInit(**settings["noise"]),
        adain=settings["adain"],
        readout="decoder",
        predicts_flow=True,
        captions=captions.to(device),
    )


def known_backbone(adapter: str | os.PathLike[str]) -> Backbone:
    """The structure of the base that an adapter file was made for, without that base's weights.

    Raises:
        MIVAError: the file is no adapter, or its base is none of those that are known here.
    """
    info = read_info(adapter)
    backbone = find_backbone(info)
    if backbone is None:
        wanted = f"{printable(info.family)}, {printable(info.fingerprint)}"
        raise MIVAError(f"{adapter} was made for a base ({wanted}) that is not known here.")
    return backbone


def find_backbone(info: AdapterInfo) -> Backbone | None:
    """The structure of an adapter's base among those known here, without that base's weights."""
    return next((backbone for _, backbone in _known() if _fits(info, backbone)), None)


def name_base(info: AdapterInfo | Backbone) -> str:
    """What people call a base, or that of an adapter; empty if it is none of those known here."""
    return _names().get((info.family, info.fingerprint), "")


@cache
def _names() -> dict[tuple[str, str], str]:
    return {(backbone.family, backbone.fingerprint): name for name, backbone in _known()}


def _fits(info: AdapterInfo, backbone: Backbone) -> bool:
    return (info.family, info.fingerprint) == (backbone.family, backbone.fingerprint)


def _known() -> Iterator[tuple[str, Backbone]]:
    from .animatediff.loading import meta_unet
    from .wan.loading import meta_transformer

    yield "the built-in base", load_base("tiny").backbone
    yield "Stable Diffusion 1.5 with AnimateDiff v1 or v3", describe(meta_unet())
    yield "Stable Diffusion 1.5 with AnimateDiff v2", describe(meta_unet(use_motion_mid_block=True))
    yield "Wan 2.1 1.3B", describe(meta_transformer())
