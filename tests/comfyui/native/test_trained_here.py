"""A motion that this pack trained on files makes the same clip in ComfyUI's own MODEL of the same files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from comfyui_miva.miva_core import Base, MIVAAdapter, Motion, RunOptions, animate
from comfyui_miva.miva_core.clips.training_clip import TrainingClip
from comfyui_miva.miva_core.training.options import TrainOptions
from comfyui_miva.miva_core.training.recipes import recipe
from comfyui_miva.miva_core.training.run import train_and_save
from comfyui_miva.miva_core.training.training_set import TrainingSet
from torch import Tensor

import nodes

from .adapters import SMALL
from .real_comfyui import MODELS, NODES
from .runs import error, sample
from .sd15_models import SmallSD15, as_rows
from .wan_files import WanFiles

SIZE, STEPS = (64, 96), 4
"""(height, width) of the clips, and the steps of a run."""


@dataclass(frozen=True)
class Files:
    """The engine's base and ComfyUI's MODEL by the same files, and levels of noise that both know.

    Attributes:
        vae: VAE. frames: of a clip. levels: (STEPS + 1,). to_native: a clip in the layout of the MODEL.
    """

    base: Base
    model: Any
    vae: Any
    frames: int
    levels: Tensor
    to_native: Callable[[Tensor], Tensor]


def wan_files(folder: Path) -> Files:
    files = WanFiles.write(folder)
    model, vae = files.native()
    return Files(files.base(), model, vae, 5, torch.linspace(1, 0, STEPS + 1), lambda clip: clip)


def sd15_files(sd15: SmallSD15) -> Files:
    folder = Path(MODELS) / "animatediff_models"
    folder.mkdir(exist_ok=True)
    if not (folder / "trained.safetensors").exists():
        (folder / "trained.safetensors").symlink_to(sd15.motion("v3"))
    model = NODES["MIVAMotionModule"].execute(model=sd15.model, motion_module="trained.safetensors")[0]
    table = model.get_model_object("model_sampling").sigmas
    levels = torch.cat([table[[999, 749, 499, 249]], torch.zeros(1)])
    return Files(sd15.base("v3"), model, sd15.vae, 4, levels, as_rows)


def files_of(name: str, folder: Path, sd15: SmallSD15) -> Files:
    made = wan_files(folder) if name == "wan" else sd15_files(sd15)
    return replace(made, base=replace(made.base, size=SIZE, frames=made.frames))


def sliding(frames: int) -> TrainingClip:
    """A square that slides to the right by four pixels a frame, over a still picture."""
    still, moving = torch.nn.functional.interpolate(torch.rand(2, 3, 6, 6), SIZE, mode="bicubic").clamp(0, 1)
    masks = torch.zeros(1, frames, *SIZE)
    for i in range(frames):
        masks[0, i, 16:48, 4 + 4 * i : 36 + 4 * i] = 1
    shifted = torch.stack([moving.roll(4 * i, dims=-1) for i in range(frames)])
    pixels = torch.where(masks[0][:, None] > 0, shifted, still)
    return TrainingClip("slide", (pixels * 255).byte(), (masks * 255).byte())


def trained(files: Files) -> Path:
    """The file of a motion that was trained for a few steps, in the folder where Load MIVA finds it."""
    path = Path(MODELS) / "miva" / f"slide_{files.base.name}.safetensors"
    chosen = replace(recipe(files.base.name, "quick"), config=SMALL, steps=4, lr=1e-2, batch=1, checkpointing=False)
    if path.exists():
        return path
    with torch.inference_mode(False), torch.enable_grad():
        training_set = TrainingSet("slide right", [sliding(files.frames)])
        train_and_save(files.base, training_set, chosen, path, options=TrainOptions(validate_every=9))
    return path


EMPTY = torch.zeros(1, 77, 768)
"""A prompt of zeros, which is heard; without a prompt none is."""


@pytest.mark.parametrize(
    ("name", "weight", "text"),
    [
        ("wan", 0.7, None),
        ("sd15", 1.0, None),
        ("sd15", 0.7, EMPTY),
        ("sd15", 0.7, None),
    ],
    ids=["wan", "sd15", "sd15 beside a text of zeros", "sd15 beside no text"],
)
def test_a_motion_trained_on_files_makes_the_same_clip_in_the_model_of_these_files(
    name: str, weight: float, text: Tensor | None, tmp_path: Path, sd15: SmallSD15
) -> None:
    files = files_of(name, tmp_path, sd15)
    path, picture = trained(files), torch.rand(1, *SIZE, 3)
    base = files.base if text is None else replace(files.base, text=text)
    channels, frames = files.base.encode(picture[0]).shape[1], (files.frames - 1) // files.base.stride + 1
    start = torch.randn(1, channels, frames, SIZE[0] // 8, SIZE[1] // 8)
    adapter = MIVAAdapter.load(path, files.base.backbone)

    latents: list[Tensor] = []

    def clip_of_engine(strength: float, adain: bool) -> Tensor:
        """(F, H, W, 3); beside it `latents[-1]`, in the scale of the model, before AdaIN."""
        options = RunOptions(start=start, sigmas=files.levels, adain=adain)
        motions = [Motion(adapter, strength)]
        return animate(base, picture[0], motions, options, lambda now: latents.append(now.latents)).frames

    stack = NODES["MIVALoad"].execute(miva_name=path.name, weight=weight, start_percent=0.0, end_percent=1.0)[0]
    for adain in (False, True):
        applied = NODES["MIVAApply"].execute(
            **{"model": files.model, "vae": files.vae, "image": picture, "mivas": stack},
            **{"height": SIZE[0], "width": SIZE[1], "length": files.frames, "fit": "crop"},
            **{"dct_init": False, "adain": adain},
            **({} if text is None else {"positive": [[text, {}]], "negative": [[text, {}]]}),
        )
        model, positive, negative, latent = (applied[k] for k in range(4))
        noise = files.to_native(start)
        result = sample(model, latent["samples"], positive, negative, steps=files.levels, noise=noise)
        frames = nodes.VAEDecode().decode(files.vae, {"samples": result})[0]
        assert error(frames, clip_of_engine(weight, adain)) < 2e-5
        if not adain:
            assert error(model.model.process_latent_in(result), files.to_native(latents[-1])) < 2e-5
            # What was learnt is far larger than what is allowed to differ.
            clip_of_engine(0.5, adain)
            assert error(latents[-1], latents[-1 - STEPS]) > 1e-3
