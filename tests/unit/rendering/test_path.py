import math

import numpy as np
import pytest

from miva_core.rendering.path import SimilarityPath, similarity_matrix


def test_frames_are_met_exactly_and_nothing_overshoots() -> None:
    values = np.random.default_rng(1).normal(size=(9, 4))
    path = SimilarityPath(values)
    for i in range(8):
        np.testing.assert_allclose(path.at(i), values[i], atol=1e-12)
        between = np.array([path.at(i + f) for f in np.linspace(0, 1, 21)])
        low, high = np.minimum(values[i], values[i + 1]), np.maximum(values[i], values[i + 1])
        assert (between >= low - 1e-12).all() and (between <= high + 1e-12).all()


def test_what_falls_does_not_sink_below_the_ground_where_it_lands() -> None:
    height = np.array([0, 3.0, 4, 3, 0, 3, 4, 3, 0])
    path = SimilarityPath(np.column_stack([height] * 4))
    assert min(path.at(time)[0] for time in np.linspace(0, 8, 801)) == 0


def test_a_constant_speed_stays_constant_also_beyond_the_end() -> None:
    speed = np.array([0.02, -0.03, 0.01, 0.5])
    path = SimilarityPath(np.arange(6)[:, None] * speed)
    for time in (0.0, 0.3, 2.5, 4.99, 5.0, 7.25, 100.0):
        np.testing.assert_allclose(path.at(time), time * speed, atol=1e-12)


def test_the_path_has_no_kinks() -> None:
    path = SimilarityPath(np.cumsum(np.random.default_rng(2).uniform(0, 1, (8, 4)), axis=0))
    times = np.linspace(0, 9, 9001)
    slopes = np.diff([path.at(time) for time in times], axis=0) / 0.001
    assert np.abs(np.diff(slopes, axis=0)).max() < 0.02


def test_it_follows_a_smooth_motion_between_frames() -> None:
    frames, times = np.arange(17), np.linspace(0, 16, 161)
    path = SimilarityPath(np.column_stack([np.sin(frames / 8)] * 4))
    np.testing.assert_allclose([path.at(time)[0] for time in times], np.sin(times / 8), atol=0.004)


@pytest.mark.parametrize("frames", [1, 2])
def test_short_paths(frames: int) -> None:
    path = SimilarityPath(np.arange(frames)[:, None] * np.ones(4))
    np.testing.assert_allclose(path.at(0.5), 0.5 * (frames - 1))
    np.testing.assert_allclose(path.at(3.0), 3.0 * (frames - 1))


def test_a_matrix_turns_clockwise_about_the_centre_and_shifts_by_shares() -> None:
    matrix = similarity_matrix(np.array([math.log(2), math.pi / 2, 0.25, -0.5]), (100, 200))
    # x to the right and y down: a quarter turn clockwise sends right to down.
    np.testing.assert_allclose(matrix @ [1, 0, 1], [50, 2 - 50, 1], atol=1e-9)
    np.testing.assert_allclose(matrix @ [0, 1, 1], [50 - 2, -50, 1], atol=1e-9)


def test_rest() -> None:
    assert SimilarityPath(np.zeros((4, 4))).at_rest and not SimilarityPath(np.eye(4)).at_rest
