"""A tiny U-Net with motion modules, adapters far from their neutral start, and commands as a user gives them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNetMotionModel, WanTransformer3DModel
from small_bases import HalfCodec, small_animatediff, small_transformer, small_unet, small_wan
from torch import Tensor

from miva_core.adapters.adapter import MIVAAdapter
from miva_core.adapters.config import MIVAConfig
from miva_core.bases.base import Base
from miva_core.bases.describe import describe
from miva_core.bases.recipe import Recipe
from miva_core.cli.main import main
from miva_core.training.latent_clips import LatentClip, Pixels, encode
from miva_core.training.recipes import recipe

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def make_unet() -> Callable[..., UNetMotionModel]:
    """make_unet(**config): frozen, random, two levels 16 and 32 wide, heads of 8 channels, float32."""

    return small_unet


@pytest.fixture
def make_wan() -> Callable[..., WanTransformer3DModel]:
    """make_wan(**config): frozen, random, two blocks of two heads of 12 channels, float32."""

    return small_transformer


@pytest.fixture
def unet(make_unet: Callable[..., UNetMotionModel]) -> UNetMotionModel:
    """float64, for comparisons at 1e-9."""
    return make_unet().double()


@pytest.fixture
def small() -> MIVAConfig:
    """The default config with tiny ranks."""
    return MIVAConfig(cfa_rank=3, ca_rank=4, ta_rank=2)


@pytest.fixture
def make_adapter(small: MIVAConfig) -> Callable[..., MIVAAdapter]:
    """make_adapter(model, config=small): every parameter random, so that no zero hides a mistake; the model's dtype."""

    def make(model: UNetMotionModel, config: MIVAConfig = small) -> MIVAAdapter:
        adapter = MIVAAdapter(describe(model), config)
        for parameter in adapter.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
        return adapter.to(model.dtype)

    return make


@pytest.fixture
def call() -> Callable[..., Tensor]:
    """call(model, text=False, t=500): the output for fixed latents of 2 clips, 3 frames, 4 x 6."""

    def run(model: UNetMotionModel, text: bool = False, t: int = 500) -> Tensor:
        generator = torch.Generator().manual_seed(7)
        latents = torch.randn(2, 4, 3, 4, 6, generator=generator, dtype=torch.float64).to(model.dtype)
        states = torch.randn(6, 5, 16, generator=generator, dtype=torch.float64).to(model.dtype)
        return model(latents, torch.tensor(t), states if text else None).sample

    return run


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Gets an entry for every clip and every mask that a base encodes."""
    met: list[int] = []
    encode_clip = HalfCodec.encode_clip
    monkeypatch.setattr(HalfCodec, "encode_clip", lambda self, frames: met.append(1) or encode_clip(self, frames))
    return met


@pytest.fixture
def make_base() -> Callable[..., Base]:
    """make_base("animatediff" or "wan"): a small random base for clips of 5 frames of 16 x 12 pixels."""

    def make(name: str = "animatediff") -> Base:
        torch.manual_seed(1)
        return {"animatediff": small_animatediff, "wan": small_wan}[name]()

    return make


@pytest.fixture
def make_clips() -> Callable[..., list[list[LatentClip]]]:
    """make_clips(base, subjects=0): three encoded clips of 7 frames; squares slide over noise, each with its mask."""

    def make(base: Base, subjects: int = 0) -> list[list[LatentClip]]:
        generator = torch.Generator().manual_seed(5)
        clips = []
        for _ in range(3):
            frames = torch.rand(3, *base.size, generator=generator).repeat(7, 1, 1, 1)
            masks = torch.zeros(subjects, 7, *base.size)
            for k in range(subjects):
                for i in range(7):
                    masks[k, i, 6 * k : 6 * k + 5, i + k : i + k + 5] = 1
                    frames[i] = torch.where(masks[k, i] > 0, 0.9 - 0.5 * k, frames[i])
            clips.append(encode(base, Pixels(frames, masks, torch.zeros(0, 7)), masked=bool(subjects)))
        return clips

    return make


@pytest.fixture
def make_recipe(small: MIVAConfig) -> Callable[..., Recipe]:
    """make_recipe(**changes): six quick steps of two clips."""

    def make(**changes: Any) -> Recipe:
        quick = {"config": small, "steps": 6, "lr": 1e-2, "batch": 2, "checkpointing": False}
        return replace(recipe("animatediff"), **(quick | changes))

    return make


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder a user works in, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(folder: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """run("train", …): the output of a command that ends well."""

    def command(*arguments: str) -> str:
        code = main(arguments)
        captured = capfd.readouterr()
        assert code == 0, captured.err
        return captured.out + captured.err

    return command


@pytest.fixture
def fail(folder: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """fail("train", …): the one sentence of a command that is refused; nothing is left behind."""

    def command(*arguments: str) -> str:
        before = sorted(folder.rglob("*"))
        assert main(arguments) == 2
        lines = capfd.readouterr().err.strip().splitlines()
        assert len(lines) == 1 and lines[0].startswith("Error: "), lines
        assert sorted(folder.rglob("*")) == before
        return lines[0].removeprefix("Error: ")

    return command
