"""Detail for holes that were filled smoothly."""

import numpy as np
import pytest

from miva_core.rendering.texture import best_shifts, texture


def hole_in(size: tuple[int, int], rows: slice, columns: slice) -> np.ndarray:
    hole = np.zeros(size, bool)
    hole[rows, columns] = True
    return hole


def test_a_hole_gets_about_as_much_detail_as_there_is_around_it() -> None:
    picture = np.full((120, 200, 3), 0.5, np.float32) + np.random.default_rng(0).normal(0, 0.05, (120, 200, 3))
    hole = hole_in((120, 200), slice(40, 80), slice(70, 120))
    smooth = np.where(hole[..., None], 0.5, picture).astype(np.float32)
    assert texture(picture.astype(np.float32), smooth, hole).std() == pytest.approx(0.8 * 0.05, rel=0.2)


def test_a_plain_place_stays_plain_beside_a_busy_one_of_the_same_colour() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (120, 200, 3)) * (np.arange(120) < 50)[:, None, None]
    picture = (0.5 + noise).astype(np.float32)
    hole = hole_in((120, 200), slice(75, 95), slice(90, 120))
    assert np.abs(texture(picture, np.where(hole[..., None], np.float32(0.5), picture), hole)).max() < 0.01


def test_places_look_alike_and_are_known() -> None:
    """Stripes: within them a place of the same colour lies at the same height."""
    height, width = 60, 100
    stripes = np.broadcast_to((np.arange(height) // 20 / 3)[:, None, None], (height, width, 3)).astype(np.float32)
    hole = hole_in((height, width), slice(5, 55), slice(45, 60))
    shifts = best_shifts(np.where(hole[..., None], stripes + 0.02, stripes), ~hole)
    rows, columns = np.nonzero(hole & hole_in((height, width), slice(23, 37), slice(width)))
    y, x = rows + shifts[rows, columns, 0], columns + shifts[rows, columns, 1]
    assert not hole[y, x].any()
    np.testing.assert_allclose(stripes[y, x], stripes[rows, columns])


def test_the_same_picture_gets_the_same_detail_and_what_the_hole_held_does_not_count() -> None:
    random = np.random.default_rng(0)
    picture, hole = random.random((50, 70, 3), np.float32), hole_in((50, 70), slice(20, 40), slice(0, 30))
    smooth = np.where(hole[..., None], np.float32(0.5), picture)
    other = np.where(hole[..., None], np.float32(1), picture)
    assert np.array_equal(texture(picture, smooth, hole), texture(other, smooth, hole))
