"""The bias of soft masks against its formula, and codes against the bias, in float64."""

import math

import pytest
import torch
from torch import Tensor

from miva_core.attention.regions import EPSILON, RegionCodes, agreement_bias


@pytest.fixture
def mask() -> Tensor:
    """Many pixels inside and outside, some at a soft edge."""
    soft = torch.rand(500)
    return torch.cat([torch.zeros(50), torch.ones(50), torch.tensor([0.5]), soft, soft**8, 1 - soft**8])


def test_the_bias_is_equation_3() -> None:
    query, key = torch.rand(2, 3).double(), torch.rand(2, 4).double()
    bias = agreement_bias(query, key)
    assert bias.shape == (2, 3, 4)
    for b in range(2):
        for p in range(3):
            for q in range(4):
                s, r = query[b, p].item(), key[b, q].item()
                assert bias[b, p, q].item() == pytest.approx(math.log(s * r + (1 - s) * (1 - r) + EPSILON), rel=1e-12)


def test_equal_regions_are_free_and_opposite_ones_closed() -> None:
    sides = torch.tensor([0.0, 1.0])
    bias = agreement_bias(sides, sides)
    torch.testing.assert_close(bias.diagonal(), torch.full((2,), 1e-4), rtol=1e-3, atol=1e-7)
    torch.testing.assert_close(bias[0, 1], torch.tensor(math.log(1e-4)))


@pytest.mark.parametrize(("rank", "largest"), [(16, 1e-3), (24, 3e-5)])
def test_codes_are_the_bias_but_for_a_shift_of_each_query(mask: Tensor, rank: int, largest: float) -> None:
    codes = RegionCodes(rank)
    product = codes.query(mask).double() @ codes.key(mask).double().T
    rest = agreement_bias(mask.double(), mask.double()) - product
    spread = rest.amax(dim=1) - rest.amin(dim=1)
    assert spread.max() / 2 < largest


def test_attention_with_codes_is_attention_with_the_bias(mask: Tensor) -> None:
    codes, width = RegionCodes(), 40
    q, k, v = torch.randn(3, len(mask), width).double().unbind()
    logits = q @ k.T / width**0.5
    expected = torch.softmax(logits + agreement_bias(mask.double(), mask.double()), dim=-1) @ v
    coded = torch.softmax(logits + codes.query(mask).double() @ codes.key(mask).double().T, dim=-1) @ v
    torch.testing.assert_close(coded, expected, rtol=0, atol=1e-4)


def test_masks_of_low_precision_keep_their_ends() -> None:
    """1 - S in half precision would lose ε."""
    codes = RegionCodes()
    for dtype in (torch.float16, torch.bfloat16):
        ends = torch.tensor([0.0, 1.0], dtype=dtype)
        product = codes.query(ends) @ codes.key(ends).T
        torch.testing.assert_close(product[:, 0] - product[:, 1], torch.tensor([9.21, -9.21]), rtol=0, atol=2e-3)
