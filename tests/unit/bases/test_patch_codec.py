from pathlib import Path

import pytest
import torch
from slow_patches import CHANNELS, correlated_patches, patches_of, principal
from torch import Tensor

from miva_core.bases.tiny.patch_codec import PatchCodec


@pytest.fixture
def patches() -> Tensor:
    return correlated_patches()


@pytest.fixture
def codec(patches: Tensor) -> PatchCodec:
    """Fitted, its network as it starts, float64."""
    codec = PatchCodec(latent_channels=CHANNELS, width=8, depth=1, detail=4).double()
    codec.patches.fit(patches)
    return codec


@pytest.fixture
def pictures() -> Tensor:
    return torch.rand(2, 3, 24, 16).double() * 2 - 1


def test_an_untrained_decoder_gives_the_projection(codec: PatchCodec, patches: Tensor, pictures: Tensor) -> None:
    mean, vectors, _ = (torch.from_numpy(array) for array in principal(patches))
    projected = mean + (patches_of(pictures) - mean) @ vectors.T @ vectors
    decoded = codec.decode(codec.encode(pictures))
    assert decoded.shape == pictures.shape
    torch.testing.assert_close(patches_of(decoded), projected)


def test_an_untrained_decoder_loses_no_latent(codec: PatchCodec) -> None:
    latents = torch.randn(2, CHANNELS, 3, 2).double()
    torch.testing.assert_close(codec.encode(codec.decode(latents)), latents)


def test_training_leaves_the_linear_part_alone(codec: PatchCodec, pictures: Tensor) -> None:
    torch.nn.init.normal_(codec.conv_out.weight)
    (codec.decode(codec.encode(pictures)) - pictures).square().mean().backward()
    assert all(p.grad is None for p in codec.patches.parameters())
    assert codec.conv_in.weight.grad.any() and codec.conv_detail.weight.grad.any()


def test_a_saved_codec_is_the_same_codec(codec: PatchCodec, tmp_path: Path) -> None:
    torch.nn.init.normal_(codec.conv_out.weight, std=0.1)  # so that the network has a say
    codec.save_pretrained(tmp_path)
    loaded = PatchCodec.from_pretrained(tmp_path, local_files_only=True, torch_dtype=torch.float64)
    assert list(loaded.state_dict()) == list(codec.state_dict())
    latents = torch.randn(1, CHANNELS, 2, 2).double()
    assert torch.equal(loaded.decode(latents), codec.decode(latents))
    assert torch.equal(
        loaded.encode(torch.ones(1, 3, 16, 16).double()), codec.encode(torch.ones(1, 3, 16, 16).double())
    )
