"""Holes filled by means of what is known."""

import numpy as np

from miva_core.rendering.push_pull import push_pull


def test_a_pixel_gets_the_mean_of_its_known_neighbours() -> None:
    planes = np.zeros((2, 2, 3), np.float32)
    planes[..., 0] = [[0.1, 0.2], [0.6, 9]]
    hole = np.array([[False, False], [False, True]])
    np.testing.assert_allclose(push_pull(planes, hole)[1, 1, 0], 0.3, atol=1e-6)


def test_a_block_without_any_known_pixel_gets_the_mean_of_the_blocks_around_it() -> None:
    """Its far corner has all of it; what the hole holds does not count."""
    planes, hole = np.full((4, 4, 1), 1e3, np.float32), np.ones((4, 4), bool)
    for (y, x), value in {(0, 0): 0.2, (3, 0): 0.4, (0, 3): 0.9}.items():
        planes[y, x], hole[y, x] = value, False
    np.testing.assert_allclose(push_pull(planes, hole)[3, 3], 0.5, atol=1e-6)


def test_what_is_known_stays_bit_by_bit_and_nothing_leaves_its_range() -> None:
    random = np.random.default_rng(0)
    for size in ((1, 1), (1, 9), (7, 1), (37, 64)):
        planes, hole = random.random((*size, 4), np.float32), random.random(size) < 0.6
        filled = push_pull(planes, hole)
        assert filled.shape == planes.shape and np.array_equal(filled[~hole], planes[~hole])
        if not hole.all():
            known = planes[~hole]
            assert (filled >= known.min(0) - 1e-6).all() and (filled <= known.max(0) + 1e-6).all()


def test_a_plain_plane_stays_plain() -> None:
    planes, hole = np.full((90, 140, 3), 0.25, np.float32), np.zeros((90, 140), bool)
    hole[20:70, 10:140] = True
    planes[hole] = 1
    np.testing.assert_allclose(push_pull(planes, hole), 0.25, atol=1e-5)
