"""Masks in linear attention, against every pair of places in float64."""

import pytest
import torch
from torch import Tensor

from miva_core.attention.guidance import unify
from miva_core.attention.linear_guidance import LinearGuidance
from miva_core.attention.regions import EPSILON, agreement_bias, agreement_codes, share_codes
from miva_core.bases.miramo.linear_attention import coded, guided_cosine_attention, relu_attention, relu_sums, rotations

FRAMES, HEIGHT, WIDTH = 3, 4, 6
EXACT = {"rtol": 1e-12, "atol": 1e-12}


def masks(count: int) -> Tensor:
    """(n, 1, F, h, w) float64: inside, outside, and soft edges."""
    values = 1.6 * torch.rand(count, 1, FRAMES, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1)).double()
    return (values - 0.3).clamp(0, 1)


def guidance(of: Tensor) -> LinearGuidance:
    return LinearGuidance(of, unify(of), len(of), [(HEIGHT, WIDTH), (HEIGHT // 2, WIDTH // 2)], torch.float64)


def test_codes_of_rank_two_are_equation_3_without_its_logarithm() -> None:
    p, q = masks(2).flatten(1)
    codes = agreement_codes(p), agreement_codes(q)
    assert codes[0].shape[-1] == 2 and min(code.min() for code in codes) > 0
    torch.testing.assert_close(codes[0] @ codes[1].T, torch.exp(agreement_bias(p, q)), **EXACT)


def test_in_float32_even_opposite_regions_keep_their_share() -> None:
    ends = agreement_codes(torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(ends @ ends.T, torch.eye(2) + EPSILON, rtol=1e-5, atol=0)


@pytest.mark.parametrize("labels", [2, 3, 5])
def test_labels_agree_with_themselves_alone(labels: int) -> None:
    codes = share_codes(torch.eye(labels).double())
    torch.testing.assert_close(codes @ codes.T, torch.eye(labels).double() + EPSILON, **EXACT)


def test_a_coarser_grid_has_the_mean_over_all_pairs_of_two_cells() -> None:
    mask = masks(1)
    codes = guidance(mask).at(HEIGHT * WIDTH // 4).cross_frame.first
    found = (codes.query @ codes.key.mT)[0, 0].unflatten(0, (FRAMES, -1))
    for i in range(FRAMES):
        pairs = torch.exp(agreement_bias(mask[0, 0, i].flatten(), mask[0, 0, 0].flatten()))
        # Places (2, 2, 3, 2, 2, 2, 3, 2): rows and columns of cells and within them, of queries and of keys.
        cells = pairs.view(2, 2, 3, 2, 2, 2, 3, 2).mean((1, 3, 5, 7))
        torch.testing.assert_close(found[i], cells.view(6, 6), **EXACT)


def explicit(similarities: Tensor, value: Tensor) -> Tensor:
    return similarities / similarities.sum(-1, keepdim=True) @ value


def test_guided_attention_is_that_of_the_explicit_matrix() -> None:
    """Of a frame by ReLU, and over time by 1 + cosine with rotary positions."""
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 5, 8).double()
    p, r = torch.rand(2, 5).double()
    weights, codes = torch.exp(agreement_bias(p, r)), (agreement_codes(p), agreement_codes(r))
    found = relu_attention(coded(q, codes[0]), relu_sums(coded(k, codes[1]), v))
    torch.testing.assert_close(found, explicit(q.relu() @ k.relu().T * weights, v), **EXACT)
    rotary = rotations(torch.tensor([0.0, 1.0, 2.5, 4.0, 7.0]).double(), 8)
    directions = [torch.view_as_complex((x / x.norm(dim=-1, keepdim=True)).view(5, 4, 2)) * rotary for x in (q, k)]
    cosines = (directions[0][:, None] * directions[1][None].conj()).real.sum(-1)
    found = guided_cosine_attention(q, k, v, rotary, *codes)
    torch.testing.assert_close(found, explicit((1 + cosines) * weights, v), rtol=1e-9, atol=1e-9)
