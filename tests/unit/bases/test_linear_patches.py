import numpy as np
import pytest
import torch
from slow_patches import CHANNELS, correlated_patches, patches_of, principal
from torch import Tensor

from miva_core.bases.tiny.linear_patches import LinearPatches


@pytest.fixture
def patches() -> Tensor:
    return correlated_patches()


@pytest.fixture
def linear(patches: Tensor) -> LinearPatches:
    linear = LinearPatches(CHANNELS).double()
    linear.fit(patches)
    return linear


@pytest.fixture
def pictures() -> Tensor:
    return torch.rand(2, 3, 24, 16).double() * 2 - 1


def test_encoding_is_a_matrix_on_each_patch(linear: LinearPatches, pictures: Tensor) -> None:
    latents = linear.encode(pictures)
    assert latents.shape == (2, CHANNELS, 3, 2)
    expected = (patches_of(pictures) - linear.mean) @ linear.analysis.T
    torch.testing.assert_close(latents.permute(0, 2, 3, 1), expected)


def test_encoding_is_linear(linear: LinearPatches, pictures: Tensor) -> None:
    one, two = pictures.split(1)
    mixed = linear.encode(1.7 * one - 0.7 * two)
    torch.testing.assert_close(mixed, 1.7 * linear.encode(one) - 0.7 * linear.encode(two), rtol=1e-12, atol=1e-12)


def test_the_components_span_the_principal_subspace(linear: LinearPatches, patches: Tensor) -> None:
    mean, vectors, _ = principal(patches)
    np.testing.assert_allclose(linear.mean.numpy(), mean, atol=1e-12)
    projector = (linear.synthesis @ linear.analysis).numpy()
    np.testing.assert_allclose(projector, vectors.T @ vectors, atol=1e-9)


def test_no_linear_code_of_that_size_reconstructs_better(linear: LinearPatches, patches: Tensor) -> None:
    """The squared error is that of Eckart and Young: the sum of the squared singular values left out."""
    centred = patches - linear.mean
    missed = centred - centred @ linear.analysis.T @ linear.synthesis.T
    assert missed.square().sum().item() == pytest.approx((principal(patches)[2][CHANNELS:] ** 2).sum(), rel=1e-9)


@pytest.mark.parametrize("whitening", [0.0, 0.5, 1.0])
def test_whitening_is_the_exponent_of_the_deviations(linear: LinearPatches, patches: Tensor, whitening: float) -> None:
    linear.fit(patches, whitening)
    latents = (patches - linear.mean) @ linear.analysis.T
    deviations = latents.std(0, correction=0)
    assert deviations.square().mean().item() == pytest.approx(1, rel=1e-9)
    expected = torch.from_numpy(principal(patches)[2][:CHANNELS]) ** (1 - whitening)
    torch.testing.assert_close(deviations / deviations[0], expected / expected[0])
