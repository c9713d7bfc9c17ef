"""The ground behind subjects."""

import numpy as np

from miva_core.rendering.background import fill_hole, hole_around, push_pull


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


def test_a_plain_ground_stays_plain_behind_a_subject() -> None:
    ground = np.broadcast_to(np.float32([0.2, 0.5, 0.7]), (90, 140, 3))
    hole = disc(90, 140, 25, 40, 70)
    picture = np.where(hole[..., None], np.float32(1), ground)
    for filled in (fill_hole(picture, hole), push_pull(picture, hole)):
        np.testing.assert_allclose(filled, ground, atol=1e-5)


def test_a_slope_is_continued_behind_a_subject() -> None:
    slope = np.linspace(0, 1, 160, dtype=np.float32)
    ground = np.broadcast_to(slope[None, :, None], (120, 160, 3))
    hole = disc(120, 160, 15, 60, 80)
    picture = np.where(hole[..., None], np.float32(0), ground)
    assert np.abs(fill_hole(picture, hole) - ground).max() < 0.05


def test_what_is_known_is_kept_bit_by_bit_also_when_large() -> None:
    picture = np.random.default_rng(0).random((300, 1201, 3), np.float32)
    hole = disc(300, 1201, 40, 150, 20)
    for fill in (fill_hole, push_pull):
        filled = fill(picture, hole)
        assert np.array_equal(filled[~hole], picture[~hole]) and filled.dtype == np.float32
        assert np.isfinite(filled).all() and filled.min() >= 0 and filled.max() <= 1


def test_push_pull_takes_means_of_what_is_known() -> None:
    """A 2×2 block of which three pixels are known gets their mean; nothing else is near."""
    picture = np.zeros((2, 2, 3), np.float32)
    picture[..., 0] = [[0.1, 0.2], [0.6, 9]]
    hole = np.array([[False, False], [False, True]])
    np.testing.assert_allclose(push_pull(picture, hole)[1, 1, 0], 0.3, atol=1e-6)


def test_no_hole_and_nothing_but_a_hole_leave_the_picture() -> None:
    picture = np.random.default_rng(0).random((20, 30, 3), np.float32)
    for hole in (np.zeros((20, 30), bool), np.ones((20, 30), bool)):
        assert np.array_equal(fill_hole(picture, hole), picture)
