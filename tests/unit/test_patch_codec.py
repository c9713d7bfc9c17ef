from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from miva_core.patch_codec import PATCH, PatchCodec

CHANNELS, PATCH_DIM = 12, 192


def correlated_patches(count: int = 400) -> Tensor:
    """(N, 192) float64 with a spectrum that falls, and a mean."""
    mixing = torch.linalg.qr(torch.randn(PATCH_DIM, PATCH_DIM).double()).Q * 0.97 ** torch.arange(PATCH_DIM)
    return torch.randn(count, PATCH_DIM).double() @ mixing.T * 0.3 + torch.randn(PATCH_DIM).double() * 0.2


def patches_of(pictures: Tensor) -> Tensor:
    """(N, 3, H, W) to (N, h, w, 192), cut out one by one."""
    n, _, height, width = pictures.shape
    rows = [
        pictures[k, :, y : y + PATCH, x : x + PATCH].flatten()
        for k in range(n)
        for y in range(0, height, PATCH)
        for x in range(0, width, PATCH)
    ]
    return torch.stack(rows).view(n, height // PATCH, width // PATCH, PATCH_DIM)


def principal(patches: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, the first right singular vectors (CHANNELS, 192) and all singular values, by numpy."""
    values = patches.numpy()
    mean = values.mean(0)
    _, singular, vectors = np.linalg.svd(values - mean, full_matrices=False)
    return mean, vectors[:CHANNELS], singular


@pytest.fixture
def patches() -> Tensor:
    return correlated_patches()


@pytest.fixture
def codec(patches: Tensor) -> PatchCodec:
    """Fitted, its network as it starts, float64."""
    codec = PatchCodec(latent_channels=CHANNELS, width=8, depth=1, detail=4).double()
    codec.fit_components(patches)
    return codec


@pytest.fixture
def pictures() -> Tensor:
    return torch.rand(2, 3, 24, 16).double() * 2 - 1


def test_encoding_is_a_matrix_on_each_patch(codec: PatchCodec, pictures: Tensor) -> None:
    latents = codec.encode(pictures)
    assert latents.shape == (2, CHANNELS, 3, 2)
    expected = (patches_of(pictures) - codec.mean) @ codec.analysis.T
    torch.testing.assert_close(latents.permute(0, 2, 3, 1), expected)


def test_encoding_is_linear(codec: PatchCodec, pictures: Tensor) -> None:
    one, two = pictures.split(1)
    mixed = codec.encode(1.7 * one - 0.7 * two)
    torch.testing.assert_close(mixed, 1.7 * codec.encode(one) - 0.7 * codec.encode(two), rtol=1e-12, atol=1e-12)


def test_the_components_span_the_principal_subspace(codec: PatchCodec, patches: Tensor) -> None:
    mean, vectors, _ = principal(patches)
    np.testing.assert_allclose(codec.mean.numpy(), mean, atol=1e-12)
    projector = (codec.synthesis @ codec.analysis).numpy()
    np.testing.assert_allclose(projector, vectors.T @ vectors, atol=1e-9)


def test_no_linear_code_of_that_size_reconstructs_better(codec: PatchCodec, patches: Tensor) -> None:
    """The squared error is that of Eckart and Young: the sum of the squared singular values left out."""
    centred = patches - codec.mean
    missed = centred - centred @ codec.analysis.T @ codec.synthesis.T
    assert missed.square().sum().item() == pytest.approx((principal(patches)[2][CHANNELS:] ** 2).sum(), rel=1e-9)


@pytest.mark.parametrize("whitening", [0.0, 0.5, 1.0])
def test_whitening_is_the_exponent_of_the_deviations(codec: PatchCodec, patches: Tensor, whitening: float) -> None:
    codec.fit_components(patches, whitening)
    latents = (patches - codec.mean) @ codec.analysis.T
    deviations = latents.std(0, correction=0)
    assert deviations.square().mean().item() == pytest.approx(1, rel=1e-9)
    expected = torch.from_numpy(principal(patches)[2][:CHANNELS]) ** (1 - whitening)
    torch.testing.assert_close(deviations / deviations[0], expected / expected[0])


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
    assert all(p.grad is None for p in (codec.mean, codec.analysis, codec.synthesis))
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
