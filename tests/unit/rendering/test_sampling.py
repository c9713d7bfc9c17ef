"""Layers where a frame sees them, against loops over pixels."""

import cv2
import numpy as np
import pytest

from miva_core.rendering.sampling import Bend, Placement, Region, sample

LAYER = np.random.default_rng(0).random((9, 13, 3), dtype=np.float32)


def shift(x: float, y: float) -> np.ndarray:
    return np.array([[1.0, 0, x], [0, 1.0, y], [0, 0, 1.0]])


def mirrored_at(place: int, side: int) -> int:
    """Where a mirrored row of pixels is at any place, in steps of one from the first."""
    at, way = 0, 1
    for _ in range(abs(place) % (2 * (side - 1))):
        way = -way if not 0 <= at + way < side else way
        at += way
    return at


@pytest.mark.parametrize("bent", [False, True])
@pytest.mark.parametrize(("x", "y"), [(0, 0), (3, -2), (-20, 31), (40_003, -70_001), (-999_999, 250_000)])
def test_a_mirrored_layer_goes_on_however_far(x: int, y: int, bent: bool) -> None:
    """Also where OpenCV alone, which counts pixels in 16 bits, would show the same ones all over."""
    bend = Bend(np.zeros((4, 5, 2), np.float32), np.eye(3)) if bent else None
    region = Region(2, 1, 11, 8)
    seen = sample(LAYER, np.eye(3), Placement(shift(x, y), bend), region, cv2.BORDER_REFLECT_101)
    for row, column in np.ndindex(8, 11):
        expected = LAYER[mirrored_at(y + 1 + row, 9), mirrored_at(x + 2 + column, 13)]
        np.testing.assert_allclose(seen[row, column], expected, atol=1e-4)


def test_a_layer_of_one_row_is_that_everywhere() -> None:
    seen = sample(LAYER[:1], np.eye(3), Placement(shift(0, 70_000)), Region(0, 0, 13, 5), cv2.BORDER_REFLECT_101)
    np.testing.assert_allclose(seen, np.broadcast_to(LAYER[0], (5, 13, 3)), atol=1e-6)


def test_a_bend_comes_on_top_of_the_matrix() -> None:
    """One that grows by a pixel of the clip a column looks at every second pixel of a layer."""
    grid = np.zeros((3, 13, 2), np.float32)
    grid[..., 0] = np.arange(13)
    bend = Bend(grid, np.diag([1.0, 1 / 3, 1]))
    seen = sample(LAYER, np.eye(3), Placement(np.eye(3), bend), Region(0, 0, 6, 9), cv2.BORDER_REPLICATE)
    np.testing.assert_allclose(seen, LAYER[:, :12:2], atol=1e-4)
