"""The base that comes with the package."""

import json
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import DDIMScheduler
from safetensors import safe_open

from ...diffusion.init_noise import NoiseInit
from ...errors import MIVAError
from ...storage.json_files import read_json
from ..animatediff.per_frame_norm import use_per_frame_norm
from ..animatediff.sites import describe_unet
from ..base import Base
from ..vocabulary import Vocabulary
from .patch_codec import PatchCodec
from .warping_unet import WarpingUNet

_SLOTS = ("camera", "subject")
"""Of its captions: the words for the one begin with its name."""
_RESPONSE = (
    (0.0, 0.0),
    (0.1, 0.06),
    (0.2, 0.28),
    (0.25, 0.36),
    (0.3, 0.43),
    (0.4, 0.53),
    (0.5, 0.61),
    (0.6, 0.7),
    (0.75, 0.82),
    (1.0, 1.0),
    (1.25, 1.14),
    (1.5, 1.25),
    (2.0, 1.38),
)
"""Medians over camera moves, which lie within 0.08 of these from 0.25 to 1.5, and spread widely below."""


def load_tiny(folder: Path, device: torch.device | str = "cpu") -> Base:
    """Load the built-in U-Net from the folder that `tools/train_tiny.py export` wrote."""
    for part in ("settings.json", "words.safetensors", "unet", "codec", "scheduler"):
        if not (folder / part).exists():
            raise MIVAError(f"The built-in U-Net lacks {folder / part}: install the package again.")
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
    words = {word: vector for word, vector in vectors.items() if word.split(" ")[0] in _SLOTS}
    return Base(
        name="tiny",
        model=model.to(device).eval().requires_grad_(False),
        codec=codec.to(device).eval().requires_grad_(False),
        scheduler=DDIMScheduler.from_pretrained(folder, subfolder="scheduler", local_files_only=True),
        backbone=replace(describe_unet(model), revision=settings["revision"]),
        frames=settings["frames"],
        longest=model.config.motion_max_seq_length,
        size=tuple(settings["size"]),
        multiple=settings["multiple"],
        fps=settings["fps"],
        centred=settings["centred"],
        text=nothing_said.to(device),
        text_per_frame=True,
        scale=8,
        stride=1,
        steps=settings["steps"],
        last_timestep=settings["last_timestep"],
        noise=NoiseInit(**settings["noise"]),
        adain=settings["adain"],
        readout="decoder",
        predicts_flow=True,
        response=_RESPONSE,
        captions=captions.to(device),
        vocabulary=Vocabulary(_SLOTS, words),
    )
