"""Models are described alike by their modules and by their sizes, and those that adapters do not fit are refused."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import UNetMotionModel, WanTransformer3DModel
from torch import nn

from miva_core.adapters.backbone import Backbone
from miva_core.bases.animatediff.loading import meta_unet
from miva_core.bases.animatediff.sites import Level, unet_backbone
from miva_core.bases.describe import describe
from miva_core.bases.wan.sites import wan_backbone
from miva_core.errors import MIVAError


@pytest.mark.parametrize("middle", [False, True])
@pytest.mark.parametrize("widths", [(320, 640, 1280, 1280), (32, 64, 128, 128)])
def test_a_u_net_needs_no_model_to_be_described(widths: tuple[int, ...], middle: bool) -> None:
    model = meta_unet(block_out_channels=widths, use_motion_mid_block=middle)
    levels = [Level(width, 8, attends=index < 3) for index, width in enumerate(widths)]
    assert unet_backbone(levels, middle_motion=middle) == describe(model)


def test_a_u_net_may_have_other_levels(make_unet: Callable[..., UNetMotionModel]) -> None:
    assert unet_backbone([Level(16, 2), Level(32, 4)], layers=1, middle_motion=False) == describe(make_unet())


@pytest.mark.parametrize(
    ("dim", "heads", "blocks", "latents"), [(1536, 12, 30, 16), (5120, 40, 40, 16), (3072, 24, 30, 48)]
)
def test_a_wan_needs_no_model_to_be_described(dim: int, heads: int, blocks: int, latents: int) -> None:
    channels = {"in_channels": latents, "out_channels": latents}
    with torch.device("meta"):
        model = WanTransformer3DModel(num_attention_heads=heads, num_layers=blocks, ffn_dim=8, **channels)
    found = describe(model)
    assert found == wan_backbone(dim, heads, blocks, latents)
    # What the model itself says of its modules.
    for site in found.sites:
        attention: Any = model.get_submodule(site.path)
        assert (site.dim, site.heads) == (attention.inner_dim, attention.heads) and len(found.sites) == 2 * blocks
        assert attention.is_cross_attention == (site.kind == "ca")
    time: Any = model.get_submodule(found.time_path)
    assert found.time_dim == time.linear_2.out_features


def test_latents_of_another_space_tell_wans_of_one_size_apart() -> None:
    ours, theirs = (wan_backbone(1536, 12, 30, latents) for latents in (16, 48))
    assert ours.sites == theirs.sites and ours != theirs
    assert ours.fingerprint == "60a07bd075db" != theirs.fingerprint
    # Nor is a latent space taken for a revision of that name.
    assert Backbone("wan", (), "t", "t", 1, "x").fingerprint != Backbone("wan", (), "t", "t", 1, "", "x").fingerprint


@pytest.mark.parametrize("config", [{"image_dim": 8}, {"in_channels": 9}])
def test_image_to_video_wans_are_refused(make_wan: Callable[..., WanTransformer3DModel], config: Any) -> None:
    with pytest.raises(MIVAError, match="This is an image-to-video Wan model"):
        describe(make_wan(**config))


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
