"""What a region of a frame shows of a layer, against the picture's formula."""

import cv2
import numpy as np
import pytest
import torch
from scenes import waves, wavy_picture

from miva_core.media.pictures import scale_picture
from miva_core.rendering.sampling import Bend, Placement, Region, sample

LAYER = wavy_picture(60, 80).numpy()
TO_LAYER = np.array([[1.0, 0, 39.5], [0, 1.0, 29.5], [0, 0, 1.0]])
MATRIX = np.array([[0.9, -0.1, -12.0], [0.1, 0.9, -8.0], [0, 0, 1.0]])
REGION = Region(3, 5, 20, 14)
HALF = np.diag([0.5, 0.5, 1.0])
NOISE = np.random.default_rng(0).random((9, 13, 3), dtype=np.float32)


def bent(vector: tuple[float, float], within: np.ndarray | None = None) -> Bend:
    """The same shift everywhere, on a grid of half of the pixels."""
    return Bend(np.full((12, 16, 2), vector, np.float32), HALF, within)


def places() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[5:19, 3:23]
    return 0.9 * x - 0.1 * y - 12, 0.1 * x + 0.9 * y - 8


@pytest.mark.parametrize("vector", [None, (0.0, 0.0), (2.5, -1.25)], ids=str)
def test_a_region_shows_the_layer_where_its_matrix_and_bend_lead(vector: tuple[float, float] | None) -> None:
    placement = Placement(MATRIX, None if vector is None else bent(vector))
    found, (x, y), (across, down) = (
        sample(LAYER, TO_LAYER, placement, REGION, cv2.BORDER_REFLECT_101),
        places(),
        vector or (0, 0),
    )
    np.testing.assert_allclose(found, waves(x + across + 39.5, y + down + 29.5), atol=0.01)


def test_a_bend_stays_within_what_it_may_show() -> None:
    """Up to the middle of the outermost pixels: corners at whole numbers and a half are the edges of pixels."""
    within = np.array([[-7.0, -30.0], [1.0, 2.0]])
    found = sample(LAYER, TO_LAYER, Placement(MATRIX, bent((3.0, 0.0), within)), REGION, cv2.BORDER_REFLECT_101)
    x, y = places()
    expected = waves((x + 3).clip(-6.5, 0.5) + 39.5, y.clip(-29.5, 1.5) + 29.5)
    np.testing.assert_allclose(found, expected, atol=0.01)
    assert ((x + 3 < -6.5) | (x + 3 > 0.5)).any() and (y > 1.5).any()


@pytest.mark.parametrize("shrunk", [1.1, 1.25, 1.5, 1.9])
def test_a_layer_that_is_shrunk_is_as_soft_as_a_scaled_picture(shrunk: float) -> None:
    """Else a clip whose picture was scaled down would get sharper, or softer, from its first frame to the second."""
    noise = cv2.GaussianBlur(np.random.default_rng(0).random((200, 300, 3), np.float32), (0, 0), 0.8)
    size = (round(200 / shrunk), round(300 / shrunk))
    scaled = scale_picture(torch.from_numpy(noise), size).numpy()
    x, y = 300 / size[1], 200 / size[0]
    to_layer = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1.0]])
    whole = Region(0, 0, size[1], size[0])
    found = sample(noise, to_layer, Placement(np.eye(3)), whole, cv2.BORDER_REFLECT)
    assert cv2.Laplacian(found, cv2.CV_32F).std() == pytest.approx(cv2.Laplacian(scaled, cv2.CV_32F).std(), rel=0.1)


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
    seen = sample(NOISE, np.eye(3), Placement(shift(x, y), bend), region, cv2.BORDER_REFLECT_101)
    for row, column in np.ndindex(8, 11):
        expected = NOISE[mirrored_at(y + 1 + row, 9), mirrored_at(x + 2 + column, 13)]
        np.testing.assert_allclose(seen[row, column], expected, atol=1e-4)


def test_a_layer_of_one_row_is_that_everywhere() -> None:
    seen = sample(NOISE[:1], np.eye(3), Placement(shift(0, 70_000)), Region(0, 0, 13, 5), cv2.BORDER_REFLECT_101)
    np.testing.assert_allclose(seen, np.broadcast_to(NOISE[0], (5, 13, 3)), atol=1e-6)


def test_a_bend_comes_on_top_of_the_matrix() -> None:
    """One that grows by a pixel of the clip a column looks at every second pixel of a layer."""
    grid = np.zeros((3, 13, 2), np.float32)
    grid[..., 0] = np.arange(13)
    bend = Bend(grid, np.diag([1.0, 1 / 3, 1]))
    seen = sample(NOISE, np.eye(3), Placement(np.eye(3), bend), Region(0, 0, 6, 9), cv2.BORDER_REPLICATE)
    np.testing.assert_allclose(seen, NOISE[:, :12:2], atol=1e-4)
