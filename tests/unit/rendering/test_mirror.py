import numpy as np
import pytest

from miva_core.rendering.mirror import mirrored

NOISE = np.random.default_rng(0).random((60, 100, 3), dtype=np.float32)


def test_the_picture_itself_stays_as_it_is() -> None:
    assert np.array_equal(mirrored(NOISE, (7, 0, 20, 30))[7:67, 20:120], NOISE)
    assert mirrored(NOISE, (0, 0, 0, 0)) is NOISE


def test_beside_it_stands_its_mirror_image() -> None:
    flat = np.zeros((60, 100, 3), np.float32)
    flat[:, :30] = 1
    continued = mirrored(flat, (0, 0, 45, 0))
    # White up to 30 pixels outwards, then black: as at the same distance inside, within the blur.
    assert (continued[:, 45 - 26 : 45] > 0.99).all() and (continued[:, : 45 - 34] < 0.01).all()


def test_it_gets_softer_outwards() -> None:
    continued = mirrored(NOISE, (0, 0, 40, 0))
    contrast = [continued[:, start : start + 5].std() for start in (60, 36, 10)]
    assert contrast[0] > contrast[1] > contrast[2] and contrast[2] < 0.35 * contrast[0]


@pytest.mark.parametrize("rim", [(5, 9, 3, 7), (30, 30, 50, 50)])
def test_rims_of_any_width(rim: tuple[int, int, int, int]) -> None:
    top, bottom, left, right = rim
    continued = mirrored(NOISE, rim)
    assert continued.shape == (60 + top + bottom, 100 + left + right, 3) and continued.dtype == np.float32
    assert continued.min() >= 0 and continued.max() <= 1
