"""The built-in MiraMo, as a base."""

import json
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from safetensors import safe_open
from torch import Tensor

from ...diffusion.init_noise import NoiseInit
from ...errors import MIVAError
from ...motion_fields.motions import MOTIONS
from ...storage.json_files import read_json
from ..base import Base
from ..tiny.patch_codec import PatchCodec
from ..vocabulary import Vocabulary
from .caption_layers import SLOTS, guided_entries
from .flowing_miramo import FlowingMiraMo
from .sites import describe_miramo
from .speeds import SPEEDS

_DRAWN = 0.6
"""Speed of the camera move that runs without a motion make: calm, and 9 of 64 pixels in two seconds."""


def load_miramo(folder: Path, codec_folder: Path, device: torch.device | str = "cpu") -> Base:
    """Load the built-in MiraMo.

    Args:
        folder: what `tools/train_miramo.py export` wrote.
        codec_folder: of the other built-in base's codec, which it shares.
        device: where it runs.

    Raises:
        MIVAError: a part is missing.
    """
    parts = ("settings.json", "words.safetensors", "transformer/config.json", "scheduler/scheduler_config.json")
    for part in [*(folder / part for part in parts), codec_folder]:
        if not part.exists():
            raise MIVAError(f"The built-in MiraMo lacks {part}: install the package again.")
    settings = read_json(folder / "settings.json")
    # Without accelerate, diffusers would warn that it cannot save memory, of which nothing is needed here.
    options = {"local_files_only": True, "torch_dtype": torch.float32, "low_cpu_mem_usage": False}
    model = FlowingMiraMo.from_pretrained(folder, subfolder="transformer", **options)
    codec = PatchCodec.from_pretrained(codec_folder, **options)
    vectors = {word: vector.to(device) for word, vector in _read_words(folder / "words.safetensors").items()}
    kinds = {word: MOTIONS[word.partition(" ")[2]].kind for word in vectors}
    still = torch.zeros(1, len(SLOTS), model.config.caption_channels, device=device)
    moves = [_DRAWN * vector for word, vector in vectors.items() if kinds[word] == "camera"]
    return Base(
        name="miramo",
        model=model.to(device).eval().requires_grad_(False),
        codec=codec.to(device).eval().requires_grad_(False),
        scheduler=FlowMatchEulerDiscreteScheduler.from_pretrained(folder, subfolder="scheduler", local_files_only=True),
        backbone=replace(describe_miramo(model), revision=settings["revision"]),
        frames=settings["frames"],
        longest=settings["longest"],
        size=tuple(settings["size"]),
        multiple=settings["multiple"],
        fps=settings["fps"],
        centred=True,
        text=still,
        text_per_frame=False,
        scale=8,
        stride=1,
        steps=settings["steps"],
        last_timestep=settings["last_timestep"],
        noise=NoiseInit(**settings["noise"]),
        adain=False,
        readout="decoder",
        predicts_flow=True,
        captions=torch.stack([torch.cat([move[None], still[0, 1:]]) for move in moves]),
        vocabulary=Vocabulary(SLOTS, vectors, {word: SPEEDS[kind] for word, kind in kinds.items()}, SLOTS[1:2]),
        guided=True,
        guided_entries=guided_entries(still.shape[-1], device),
        keeps_aspect=True,
    )


def _read_words(path: Path) -> dict[str, Tensor]:
    """Vectors (D,) of words at unit speed, by names that begin with their slot."""
    with safe_open(path, framework="pt") as file:
        return dict(zip(json.loads(file.metadata()["words"]), file.get_tensor("weight").float(), strict=True))
