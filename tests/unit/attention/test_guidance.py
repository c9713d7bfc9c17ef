"""Guidance on coarser grids against the bias of every pair of places, and its two forms against each other."""

import math

import pytest
import torch
from torch import Tensor

from miva_core.attention.guidance import SoftmaxGuidance, halvings, pool, prefers_codes, unify
from miva_core.attention.regions import agreement_bias
from miva_core.attention.softmax_attention import Codes, attend

EPSILON = 1e-4
FRAMES, SIDE = 3, 16


def soft_masks(count: int) -> Tensor:
    """(n, 1, F, h, w): discs with soft edges that move."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    discs = [
        [torch.sigmoid(2.0 * (5 - ((y - 6 - f) ** 2 + (x - 5 - 4 * k - f) ** 2).float().sqrt())) for f in range(FRAMES)]
        for k in range(count)
    ]
    return torch.stack([torch.stack(frames) for frames in discs])[:, None]


def guidance(masks: Tensor, width: int, spans_frames: bool = False, rank: int = 16) -> SoftmaxGuidance:
    grids = halvings(SIDE, SIDE)
    return SoftmaxGuidance(masks, unify(masks), len(masks), grids, [width], rank, spans_frames, torch.float32)


def pooled_pairs(bias: Tensor) -> Tensor:
    """The bias (h w, h w) averaged over 2 x 2 cells of queries and of keys."""
    half = SIDE // 2
    cells = bias.view(half, 2, half, 2, half, 2, half, 2)
    return cells.mean((1, 3, 5, 7)).reshape(half * half, half * half)


@pytest.mark.parametrize("seed", range(5))
def test_unify_is_equation_s5(seed: int) -> None:
    torch.manual_seed(seed)
    masks = (torch.rand(3, 4, 5) * 4).round() / 4  # many ties
    labels = unify(masks)
    for y in range(4):
        for x in range(5):
            values = masks[:, y, x].tolist()
            expected = 0
            if max(values) > 0.5:
                expected = max(j + 1 for j, value in enumerate(values) if value == max(values))
            assert labels[y, x].item() == expected


@pytest.mark.parametrize(
    ("frames", "tokens", "width", "rank", "codes"),
    [
        (16, 2560, 40, 16, True),  # 24 of 64 are free
        (16, 2560, 40, 24, True),
        (16, 640, 80, 16, True),  # 16 of 96
        (16, 640, 80, 17, False),
        (16, 160, 160, 32, True),  # 32 of 192
        (16, 40, 160, 16, False),  # so few tokens that a mask is cheap
        (5, 1560, 128, 8, False),  # none free
        (16, 2560, 40, 25, True),  # a mask would have 105 million entries
        (1, 2560, 300, 1, False),  # beyond all tiles
    ],
)
def test_codes_go_into_what_a_tile_leaves_free(frames: int, tokens: int, width: int, rank: int, codes: bool) -> None:
    assert prefers_codes(frames * tokens, tokens, width, rank) is codes


def test_halvings_are_those_of_strided_convolutions() -> None:
    conv = torch.nn.Conv2d(1, 1, 3, stride=2, padding=1)
    maps = torch.zeros(1, 1, 40, 23)
    for height, width in halvings(40, 23)[:5]:
        assert maps.shape[-2:] == (height, width)
        maps = conv(maps)


@pytest.mark.parametrize("grid", [SIDE, SIDE // 2])
@pytest.mark.parametrize("width", [40, 128], ids=["codes", "mask"])
def test_cross_frame_bias(grid: int, width: int) -> None:
    masks = soft_masks(2)
    bias = guidance(masks, width, rank=16 if grid == SIDE else 24).at(grid * grid).cross_frame
    coded = width == 40 and grid == SIDE
    assert isinstance(bias.first, Codes) is coded
    first, third_on = ((b.query @ b.key.mT if isinstance(b, Codes) else b) for b in (bias.first, bias.third_on))
    flat = masks[:, 0].flatten(2).double()
    for n in range(2):
        for found, pairs in (
            (first[n, 0].unflatten(0, (FRAMES, -1)), [(f, 0) for f in range(FRAMES)]),
            (third_on[n, 0], [(f, f - 1) for f in range(2, FRAMES)]),
        ):
            for product, (frame, reference) in zip(found, pairs, strict=True):
                exact = agreement_bias(flat[n, frame], flat[n, reference])
                exact = exact if grid == SIDE else pooled_pairs(exact)
                rest = exact - product
                spread = (rest.amax(1) - rest.amin(1)) / 2  # a shift of all keys is not seen
                assert spread.max() < (1e-3 if coded else 5e-5)


@pytest.mark.parametrize("spans_frames", [False, True])
@pytest.mark.parametrize("width", [40, 128], ids=["codes", "mask"])
def test_self_attention_bias_is_equation_s6(width: int, spans_frames: bool) -> None:
    masks = soft_masks(2)
    bias = guidance(masks, width, spans_frames).at(SIDE * SIDE).self_attention
    assert isinstance(bias, Codes) is (width == 40)
    product = bias.query @ bias.key.mT if isinstance(bias, Codes) else bias
    labels = unify(masks)[0].flatten(1)
    labels = labels.flatten()[None] if spans_frames else labels
    same = labels[:, :, None] == labels[:, None]
    exact = torch.where(same, math.log(1 + EPSILON), math.log(EPSILON))
    rest = exact - product
    torch.testing.assert_close(rest, rest[..., :1].expand_as(rest), rtol=0, atol=1e-5)


def test_temporal_bias_and_gate() -> None:
    masks = soft_masks(2)
    level = guidance(masks, 40).at(64)
    assert level.temporal.shape == (2, 64, FRAMES, FRAMES)
    assert level.gate.shape == (2, 1, FRAMES, 64)
    for n, cell in ((0, 0), (0, 27), (1, 36)):
        y, x = divmod(cell, 8)
        places = masks[n, 0, :, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].flatten(1).double()
        torch.testing.assert_close(level.gate[n, 0, :, cell].double(), places.mean(1))
        for i in range(FRAMES):
            for j in range(FRAMES):
                s, r = places[i], places[j]
                exact = torch.log(s * r + (1 - s) * (1 - r) + EPSILON).mean()
                assert level.temporal[n, cell, i, j].item() == pytest.approx(exact.item(), abs=1e-5)


@pytest.mark.parametrize("rank", [16, 24])
def test_attention_by_codes_is_attention_by_the_mask(rank: int) -> None:
    """In float32, against the explicit additive mask in float64."""
    masks, heads, width = soft_masks(1), 2, 40
    codes = guidance(masks, width, rank=rank).at(SIDE * SIDE).cross_frame.first
    q, k, v = torch.randn(3, FRAMES, SIDE * SIDE, heads * width).unbind()
    flat = masks[0, 0].flatten(1)
    exact = torch.stack([agreement_bias(flat[f].double(), flat[0].double()) for f in range(FRAMES)])
    expected = attend(q.double(), k.double(), v.double(), heads, exact)
    per_frame = Codes(codes.query[0, 0].unflatten(0, (FRAMES, -1)), codes.key[0, 0].expand(FRAMES, -1, -1))
    torch.testing.assert_close(attend(q, k, v, heads, per_frame).double(), expected, rtol=0, atol=1e-4)


def test_pooling_is_the_mean_of_cells() -> None:
    values = torch.arange(2 * 4 * 6 * 3.0).view(2, 4, 6, 3)
    pooled = pool(values, (2, 3))
    assert pooled.shape == (2, 6, 3)
    torch.testing.assert_close(pooled[1, 4, 2], values[1, 2:4, 2:4, 2].mean())


def test_a_mask_of_ones_says_nothing() -> None:
    level = guidance(torch.ones(1, 1, FRAMES, SIDE, SIDE), 40).at(SIDE * SIDE)
    for bias in (level.self_attention, level.cross_frame.first):
        product = bias.query @ bias.key.mT
        torch.testing.assert_close(product, product[..., :1].expand_as(product), rtol=0, atol=1e-3)
    assert level.temporal.abs().max() < 2 * EPSILON
    assert (level.gate == 1).all()
