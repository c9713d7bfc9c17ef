"""The ground behind subjects."""

from collections.abc import Callable

import numpy as np
import pytest

from miva_core.rendering.background import fill_hole, fill_smoothly, hole_around
from miva_core.rendering.push_pull import push_pull

Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]


def disc(height: int, width: int, radius: float, y: float, x: float) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.hypot(rows - y, columns - x) <= radius


def test_a_hole_is_the_mask_and_a_rim_of_a_share_of_the_longer_side() -> None:
    mask = disc(200, 1000, 30, 100, 500).astype(np.float32)
    hole = hole_around(mask)
    assert hole.dtype == bool
    rows, columns = np.nonzero(hole)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (60, 140, 460, 540)
    assert not hole_around(np.zeros_like(mask)).any()


@pytest.mark.parametrize("fill", [fill_hole, fill_smoothly])
def test_a_plain_ground_stays_plain_behind_a_subject(fill: Fill) -> None:
    ground = np.broadcast_to(np.float32([0.2, 0.5, 0.7]), (90, 140, 3))
    hole = disc(90, 140, 25, 40, 70)
    picture = np.where(hole[..., None], np.float32(1), ground)
    np.testing.assert_allclose(fill(picture, hole), ground, atol=1e-4)


@pytest.mark.parametrize("fill", [fill_hole, fill_smoothly])
def test_a_slope_is_continued_behind_a_subject(fill: Fill) -> None:
    slope = np.linspace(0, 1, 160, dtype=np.float32)
    ground = np.broadcast_to(slope[None, :, None], (120, 160, 3))
    hole = disc(120, 160, 15, 60, 80)
    picture = np.where(hole[..., None], np.float32(0), ground)
    assert np.abs(fill(picture, hole) - ground).max() < 0.08


def test_an_edge_that_runs_into_a_hole_goes_on_there() -> None:
    """A subject in front of a horizon, of which means alone would leave a blur."""
    ground = np.broadcast_to((np.arange(200) < 100).astype(np.float32)[:, None, None], (200, 300, 3))
    hole = np.zeros((200, 300), bool)
    hole[50:150, 140:160] = True
    picture = np.where(hole[..., None], np.float32(0.5), ground)
    wrong, blurred = (np.abs(fill(picture, hole) - ground)[hole].mean() for fill in (fill_smoothly, push_pull))
    assert wrong < 0.7 * blurred


@pytest.mark.parametrize("fill", [fill_hole, fill_smoothly])
def test_what_is_known_is_kept_bit_by_bit_also_when_large(fill: Fill) -> None:
    picture = np.random.default_rng(0).random((300, 1201, 3), np.float32)
    hole = disc(300, 1201, 40, 150, 20)
    before = picture.copy()
    filled = fill(picture, hole)
    assert np.array_equal(picture, before)
    assert np.array_equal(filled[~hole], picture[~hole]) and filled.dtype == np.float32
    assert np.isfinite(filled).all() and filled.min() >= 0 and filled.max() <= 1


def test_no_hole_and_nothing_but_a_hole_leave_the_picture() -> None:
    picture = np.random.default_rng(0).random((20, 30, 3), np.float32)
    for hole in (np.zeros((20, 30), bool), np.ones((20, 30), bool)):
        assert np.array_equal(fill_hole(picture, hole), picture)


@pytest.mark.parametrize("shape", [(1, 9), (9, 1)])
def test_a_picture_of_a_line_can_be_filled(shape: tuple[int, int]) -> None:
    """Whatever stands in the memory beside it, which OpenCV would read."""
    picture, hole = np.full((*shape, 3), 0.5, np.float32), np.zeros(shape, bool)
    hole[shape[0] // 2, shape[1] // 2] = True
    for _ in range(300):
        beside = [np.full(length, np.nan, np.float32) for length in range(20, 60)]
        del beside
        np.testing.assert_allclose(fill_hole(picture, hole), 0.5, atol=1e-4)
