from collections.abc import Callable

import pytest
import torch
from diffusers import UNetMotionModel
from torch import nn

from miva_core.bases.describe import describe
from miva_core.errors import MIVAError


def test_other_classes_are_refused(unet: UNetMotionModel) -> None:
    with pytest.raises(MIVAError, match=r"Linear is not supported; .*UNetMotionModel"):
        describe(nn.Linear(2, 2))
    with pytest.raises(MIVAError, match=r"torch\.compile"):
        describe(torch.compile(unet))


def test_unusual_attention_is_refused(unet: UNetMotionModel) -> None:
    unet.mid_block.attentions[0].transformer_blocks[0].attn1.rescale_output_factor = 2.0
    with pytest.raises(MIVAError, match=r"mid_block\..*attn1 sets rescale_output_factor=2.0"):
        describe(unet)


def test_sdxl_is_refused(make_unet: Callable) -> None:
    sdxl = make_unet(
        addition_embed_type="text_time", addition_time_embed_dim=8, projection_class_embeddings_input_dim=64
    )
    with pytest.raises(MIVAError, match="addition_embed_type='text_time'"):
        describe(sdxl)
