"""The structure of Wan as adapters see it."""

from collections.abc import Callable

import pytest
import torch
from diffusers import WanTransformer3DModel

from miva_core.adapters.adapter import MIVAAdapter
from miva_core.adapters.config import MIVAConfig
from miva_core.bases.describe import describe
from miva_core.errors import MIVAError


def test_the_parameters_of_the_real_model() -> None:
    """30 blocks of width 1536: the paper counts 23.6 M for cross-frame attention of rank 128."""
    with torch.device("meta"):
        model = WanTransformer3DModel(num_attention_heads=12, attention_head_dim=128, num_layers=30, ffn_dim=8960)
        adapter = MIVAAdapter(describe(model), MIVAConfig.default())
    assert adapter.num_parameters("cfa") == 23_592_960
    assert adapter.num_parameters("gate") == 92_220
    assert adapter.num_parameters("ca") == 5_898_240 + 3_840
    assert adapter.num_parameters("ta") == 0


def test_image_to_video_models_are_refused(make_wan: Callable) -> None:
    model = make_wan(image_dim=8, added_kv_proj_dim=24)
    with pytest.raises(MIVAError, match="image-to-video Wan model"):
        describe(model)
