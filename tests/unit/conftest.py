"""A tiny U-Net with motion modules, adapters far from their neutral start, and commands as a user gives them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler, UNetMotionModel, WanTransformer3DModel
from torch import Tensor, nn

from miva_core.adapters.adapter import MIVAAdapter
from miva_core.adapters.config import MIVAConfig
from miva_core.bases.base import Base
from miva_core.bases.describe import describe
from miva_core.bases.recipe import Recipe
from miva_core.cli.main import main
from miva_core.diffusion.init_noise import NoiseInit
from miva_core.training.latent_clips import LatentClip, Pixels, encode
from miva_core.training.recipes import recipe

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def make_unet() -> Callable[..., UNetMotionModel]:
    """make_unet(**config): frozen, random, two levels 16 and 32 wide, heads of 8 channels, float32."""

    def make(**config: Any) -> UNetMotionModel:
        defaults = {
            "sample_size": 8,
            "down_block_types": ("CrossAttnDownBlockMotion", "CrossAttnDownBlockMotion"),
            "up_block_types": ("CrossAttnUpBlockMotion", "CrossAttnUpBlockMotion"),
            "block_out_channels": (16, 32),
            "layers_per_block": 1,
            "norm_num_groups": 4,
            "cross_attention_dim": 16,
            "num_attention_heads": (2, 4),
            "motion_num_attention_heads": (2, 4),
            "motion_max_seq_length": 16,
            "use_motion_mid_block": False,
        }
        return UNetMotionModel(**(defaults | config)).eval().requires_grad_(False)

    return make


@pytest.fixture
def make_wan() -> Callable[..., WanTransformer3DModel]:
    """make_wan(**config): frozen, random, two blocks of two heads of 12 channels, float32."""

    def make(**config: Any) -> WanTransformer3DModel:
        defaults = {
            "num_attention_heads": 2,
            "attention_head_dim": 12,
            "in_channels": 4,
            "out_channels": 4,
            "text_dim": 16,
            "freq_dim": 32,
            "ffn_dim": 40,
            "num_layers": 2,
            "rope_max_seq_len": 32,
        }
        return WanTransformer3DModel(**(defaults | config)).eval().requires_grad_(False)

    return make


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


class HalfCodec(nn.Module):
    """Latents that are every second pixel, in four channels; the encoder tells a spread of 0.1."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.network = nn.Identity()  # it has no weights

    def encode(self, pictures: Tensor) -> Tensor:
        return torch.cat([pictures, pictures.mean(1, keepdim=True)], dim=1)[:, :, ::2, ::2]

    def encode_clip(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        later = frames[1:].unflatten(0, (-1, self.stride)).mean(1)
        latents = self.encode(torch.cat([frames[:1], later]))
        return latents, torch.full_like(latents, 0.1)

    def decode(self, latents: Tensor) -> Tensor:
        frames = latents[:, :3].repeat_interleave(2, -1).repeat_interleave(2, -2)
        return torch.cat([frames[:1], frames[1:].repeat_interleave(self.stride, 0)])


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Gets an entry for every clip and every mask that a base encodes."""
    met: list[int] = []
    encode_clip = HalfCodec.encode_clip
    monkeypatch.setattr(HalfCodec, "encode_clip", lambda self, frames: met.append(1) or encode_clip(self, frames))
    return met


@pytest.fixture
def make_base(
    make_unet: Callable[..., UNetMotionModel], make_wan: Callable[..., WanTransformer3DModel]
) -> Callable[..., Base]:
    """make_base("animatediff" or "wan"): a small random base for clips of 5 frames of 16 x 12 pixels."""

    def make(name: str = "animatediff") -> Base:
        torch.manual_seed(1)
        model = make_wan() if name == "wan" else make_unet()
        flow = name == "wan"
        return Base(
            name=name,
            model=model,
            codec=HalfCodec(4 if flow else 1),
            scheduler=FlowMatchEulerDiscreteScheduler(shift=5.0) if flow else DDIMScheduler(clip_sample=False),
            backbone=describe(model),
            frames=5,
            longest=16,
            stride=4 if flow else 1,
            size=(12, 16) if not flow else (16, 16),
            multiple=4,
            fps=8,
            centred=False,
            text=torch.zeros(1, 1, 16) if flow else None,
            text_per_frame=not flow,
            steps=2,
            noise=NoiseInit(),
            adain=False,
        )

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
        told = capfd.readouterr()
        assert code == 0, told.err
        return told.out + told.err

    return command


@pytest.fixture
def fail(folder: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """fail("train", …): the one sentence of a command that is refused; nothing is left behind."""

    def command(*arguments: str) -> str:
        before = sorted(folder.rglob("*"))
        assert main(arguments) == 2
        told = capfd.readouterr().err.strip().splitlines()
        assert len(told) == 1 and told[0].startswith("Error: "), told
        assert sorted(folder.rglob("*")) == before
        return told[0].removeprefix("Error: ")

    return command
