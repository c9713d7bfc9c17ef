"""A tiny U-Net with motion modules, and adapters far from their neutral start."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import UNetMotionModel, WanTransformer3DModel
from torch import Tensor

from miva_core.adapter import MIVAAdapter
from miva_core.backbones import describe
from miva_core.config import MIVAConfig

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
