from pathlib import Path

import pytest
import torch
from diffusers import UNetMotionModel
from slow_patches import correlated_patches
from torch import Tensor, nn

from miva_core.bases.describe import describe
from miva_core.bases.tiny.warping_unet import FINE, REACH, WarpingUNet

CHANNELS, FRAMES = 12, 3
CONFIG = {
    "sample_size": 4,
    "in_channels": CHANNELS,
    "out_channels": CHANNELS,
    "down_block_types": ("CrossAttnDownBlockMotion",),
    "up_block_types": ("CrossAttnUpBlockMotion",),
    "block_out_channels": (16,),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "cross_attention_dim": 8,
    "num_attention_heads": (2,),
    "motion_max_seq_length": 4,
    "motion_num_attention_heads": (2,),
    "use_motion_mid_block": True,
}


@pytest.fixture
def model() -> WarpingUNet:
    """Its last layer answers nothing yet."""
    model = WarpingUNet(**CONFIG).eval().requires_grad_(False)
    model.patches.fit(correlated_patches())
    nn.init.zeros_(model.conv_out.weight)
    nn.init.zeros_(model.conv_out.bias)
    return model


@pytest.fixture
def clips() -> Tensor:
    return torch.randn(2, CHANNELS, FRAMES, 4, 5)


def answer(model: WarpingUNet, clips: Tensor) -> tuple[Tensor, Tensor]:
    output = model(clips, torch.tensor([3, 700]), encoder_hidden_states=torch.randn(2 * FRAMES, 2, 8))
    return output.sample, output.flow


def test_who_answers_nothing_holds_the_picture_still(model: WarpingUNet, clips: Tensor) -> None:
    sample, flow = answer(model, clips)
    assert sample.shape == clips.shape and flow.shape == (2, FRAMES, 2, 32, 40)
    torch.testing.assert_close(sample, torch.zeros_like(clips), atol=1e-4, rtol=0)
    assert (flow == 0).all()


def test_the_first_frame_is_warped_as_a_picture(model: WarpingUNet, clips: Tensor) -> None:
    """A flow of (5, -3) pixels everywhere, and a rest of 0.25: the picture is decoded, shifted and encoded again."""
    model.conv_out.bias[:CHANNELS] = 0.25
    x, y = model.conv_out.bias[CHANNELS:].view(2, FINE**2)
    x[:], y[:] = 5 / REACH, -3 / REACH
    sample, flow = answer(model, clips)
    assert flow[:, :, 0].eq(5).all() and flow[:, :, 1].eq(-3).all()
    picture = model.patches.decode(clips[:, :, 0])
    shifted = torch.zeros_like(picture)
    for row in range(32):
        for column in range(40):
            y, x = row - 3, column + 5
            shifted[:, :, row, column] = picture[:, :, y if y >= 0 else -1 - y, x if x < 40 else 79 - x]
    expected = model.patches.encode(shifted) - clips[:, :, 0] + 0.25
    for frame in range(FRAMES):
        torch.testing.assert_close(sample[:, :, frame], expected, atol=1e-4, rtol=1e-4)


def test_each_place_has_flow_vectors_of_its_own(model: WarpingUNet, clips: Tensor) -> None:
    """The vector of a place's fourth row and second column is felt in just that part of it."""
    model.conv_out.bias[CHANNELS + 3 * FINE + 1] = 1
    _, flow = answer(model, clips)
    felt = flow[0, 0, 0, 8:16, 8:16]
    assert felt.argmax().item() // 8 in (6, 7) and felt.argmax().item() % 8 in (2, 3)
    assert felt[1:5].eq(0).all() and (flow[:, :, 1] == 0).all()


def test_it_is_told_where_and_when(model: WarpingUNet, clips: Tensor) -> None:
    """Beside each latent x and y from -1 to 1, the share of the longest clip's time, and both products."""
    seen = []
    model.conv_in.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    answer(model, clips)
    shown = seen[0].unflatten(0, (2, FRAMES))
    for frame in range(FRAMES):
        for y in range(4):
            for x in range(5):
                right, down, time = x / 2 - 1, y / 1.5 - 1, frame / 3
                place = torch.tensor([right, down, time, time * right, time * down])
                for clip in range(2):
                    expected = torch.cat([clips[clip, :, frame, y, x], place])
                    torch.testing.assert_close(shown[clip, frame, :, y, x], expected)


def test_adapters_find_in_it_what_they_find_in_its_kind(model: WarpingUNet) -> None:
    assert describe(model) == describe(UNetMotionModel(**CONFIG))


def test_a_saved_one_is_the_same(model: WarpingUNet, clips: Tensor, tmp_path: Path) -> None:
    nn.init.normal_(model.conv_out.weight)
    model.save_pretrained(tmp_path)
    loaded = WarpingUNet.from_pretrained(tmp_path, local_files_only=True, low_cpu_mem_usage=False).eval()
    text = torch.randn(2 * FRAMES, 2, 8)
    with torch.no_grad():
        mine, its = (m(clips, torch.tensor(500), encoder_hidden_states=text) for m in (model, loaded))
    assert torch.equal(mine.sample, its.sample) and torch.equal(mine.flow, its.flow)
