"""Changes of masks, each against a slow loop from what it says."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from miva_core.errors import MIVAError
from miva_core.subject_mask.edits import feather, fill_holes, grow, invert, keep_largest
from miva_core.subject_mask.overlap import resolve


def blobs(*shape: int) -> Tensor:
    """Random masks of 0 and 1 with pieces and holes."""
    noise = torch.rand(*shape, 24, 31)
    smooth = torch.nn.functional.avg_pool2d(noise.reshape(-1, 1, 24, 31), 5, 1, 2).reshape(noise.shape)
    return (smooth > 0.5).float()


def pieces(mask: np.ndarray, corners: bool) -> list[set[tuple[int, int]]]:
    """Connected pieces of a bool mask, by flooding."""
    left = {tuple(place) for place in np.argwhere(mask)}
    found = []
    while left:
        piece, edge = set(), [left.pop()]
        while edge:
            y, x = edge.pop()
            piece.add((y, x))
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    near = y + dy, x + dx
                    if near in left and (corners or 0 in (dy, dx)):
                        left.remove(near)
                        edge.append(near)
        found.append(piece)
    return found


@pytest.mark.parametrize("pixels", [1, 3, -1, -2])
def test_grow_moves_the_edge_by_a_distance(pixels: int) -> None:
    masks = blobs(2, 2)
    grown = grow(masks, pixels)
    reach = abs(pixels)
    for mask, changed in zip(masks.flatten(0, 1).numpy(), grown.flatten(0, 1).numpy(), strict=True):
        source = mask > 0.5 if pixels > 0 else mask < 0.5
        reached = changed > 0.5 if pixels > 0 else changed < 0.5
        for y in range(24):
            for x in range(31):
                distances = [math.hypot(y - b, x - a) for b, a in np.argwhere(source)]
                nearest = min(distances, default=math.inf)
                assert reached[y, x] == (nearest <= reach)


def test_grow_of_nothing_and_by_nothing() -> None:
    masks = blobs(3)
    assert torch.equal(grow(masks, 0), masks)
    assert not grow(torch.zeros(1, 9, 9), 3).any()
    assert grow(torch.ones(1, 9, 9), -3).all()
    assert grow(torch.zeros(0, 9, 9), 3).shape == (0, 9, 9)


def test_feather_is_a_gaussian_of_half_the_distance() -> None:
    mask = torch.zeros(1, 41, 41)
    mask[:, :, 20:] = 1
    soft = feather(mask, 6)[0, 20]
    for x in range(41):
        # The blur of a step is the normal distribution.
        expected = 0.5 * (1 + math.erf((x - 19.5) / (3 * math.sqrt(2))))
        assert soft[x].item() == pytest.approx(expected, abs=0.01)
    assert torch.equal(feather(mask, 0), mask)


def test_keep_largest_and_fill_holes() -> None:
    masks = blobs(12)
    for mask, kept, filled in zip(masks.numpy(), keep_largest(masks).numpy(), fill_holes(masks).numpy(), strict=True):
        found = pieces(mask > 0.5, corners=True)
        left = {tuple(place) for place in np.argwhere(kept > 0.5)}
        assert left in found
        assert len(left) == max(map(len, found))
        border = {(y, x) for y in range(24) for x in range(31) if y in (0, 23) or x in (0, 30)}
        holes = [piece for piece in pieces(mask <= 0.5, corners=False) if not piece & border]
        expected = (mask > 0.5) | np.isin(np.arange(24 * 31).reshape(24, 31), [y * 31 + x for h in holes for y, x in h])
        assert np.array_equal(filled > 0.5, expected)


def test_keep_largest_of_an_empty_mask_is_empty() -> None:
    assert not keep_largest(torch.zeros(2, 9, 9)).any()


def test_invert() -> None:
    masks = torch.rand(2, 5, 6)
    torch.testing.assert_close(invert(masks) + masks, torch.ones(2, 5, 6))


@pytest.mark.parametrize(("change", "pixels"), [(grow, 2000), (grow, math.nan), (feather, -1), (feather, "3")])
def test_bad_distances_are_told(change: object, pixels: object) -> None:
    with pytest.raises(MIVAError, match=r"cannot (grow|feather) by .* 1024"):
        change(torch.ones(1, 9, 9), pixels)


def test_overlaps() -> None:
    logits = torch.randn(3, 2, 7, 8)
    logits[1, 0] = logits[0, 0]  # of equal ones the last, which lies on top of a stack
    assert torch.equal(resolve(logits, "keep"), logits > 0)
    best = resolve(logits, "best")
    for frame in range(2):
        for y in range(7):
            for x in range(8):
                here = logits[:, frame, y, x].tolist()
                winner = max(range(3), key=lambda k: (here[k], k))
                assert best[:, frame, y, x].tolist() == [k == winner and here[k] > 0 for k in range(3)]
