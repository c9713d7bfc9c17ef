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
