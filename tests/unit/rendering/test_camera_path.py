import numpy as np
import pytest

from miva_core.rendering.camera_path import steady_camera

GRID = (64, 64)
REACH = np.array([32, 32, 64, 64])


def tremor(values: np.ndarray) -> float:
    """The root mean square of third differences, in pixels of the grid."""
    return float(np.sqrt((np.diff(values * REACH, 3, axis=0) ** 2).sum(1).mean()))


def test_tremor_is_taken_out_of_a_camera() -> None:
    time = np.arange(16)[:, None]
    wanted = time * [0.02, 0.01, -0.01, 0.005] + time**2 * [0.0002, 0, 0.0003, 0]
    shaken = wanted + np.random.default_rng(0).normal(size=(16, 4)) * 0.06 / REACH * (time > 0)
    found = steady_camera(shaken, GRID).similarities
    assert np.abs((found - wanted) * REACH).max() < 0.2
    assert tremor(shaken) > 0.4 and tremor(found) < 0.02 and not found[0].any()


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 16])
def test_constant_speed_is_kept(frames: int) -> None:
    wanted = np.arange(frames)[:, None] * np.array([0.02, -0.02, 0.01, 0.03])
    np.testing.assert_allclose(steady_camera(wanted, GRID).similarities, wanted, atol=1e-9)


def test_what_no_cubic_follows_is_smoothed_where_it_is() -> None:
    """A camera that sways three times: a cubic would lose it."""
    wanted = np.zeros((16, 4))
    wanted[:, 2] = 0.1 * np.sin(np.arange(16) * 2 * np.pi / 8)
    found = steady_camera(wanted, GRID).similarities
    assert np.abs((found - wanted) * REACH).max() < 2 and np.corrcoef(found[:, 2], wanted[:, 2])[0, 1] > 0.98


def test_a_camera_that_hardly_moves_stands_still() -> None:
    leak = np.linspace(0, 1, 16)[:, None] / REACH
    assert steady_camera(0.3 * leak, GRID).at_rest and not steady_camera(0.4 * leak, GRID).at_rest


def test_a_pan_neither_breathes_nor_turns_for_an_error_of_the_fit() -> None:
    errors = np.random.default_rng(1).uniform(-0.2, 0.2, (16, 4)) / REACH
    errors[0] = 0
    found = steady_camera(errors + np.arange(16)[:, None] * [0, 0, -1 / 64, 0], GRID).similarities
    assert not found[:, [0, 1, 3]].any()
    assert np.abs(np.diff(found[:, 2], 2)).max() < 1e-12 and np.diff(found[:, 2])[0] * 64 == pytest.approx(-1, abs=0.02)


def test_a_camera_that_gets_faster_is_not_taken_for_a_steady_one() -> None:
    wanted = np.zeros((16, 4))
    wanted[:, 0] = np.arange(16) ** 2 * 0.001
    np.testing.assert_allclose(steady_camera(wanted, GRID).similarities, wanted, atol=1e-9)


def test_a_pan_does_not_waver_with_the_jumps_of_a_subject() -> None:
    wavering = np.zeros((16, 4))
    time = np.arange(16)
    wavering[:, 2] = (-0.7 * time + np.abs(np.sin(time * np.pi / 7.5))) / 64
    found = steady_camera(wavering, GRID).similarities[:, 2] * 64
    assert np.ptp(np.diff(found)) < 1e-12 and found[-1] == pytest.approx(-0.7 * 15, abs=1)


def test_a_camera_takes_the_ways_that_were_asked_for() -> None:
    """A pan that hands over to a zoom in the middle: without being told, a straight line would explain both."""
    pan, zoom = np.minimum(np.arange(16), 8.0), np.maximum(np.arange(16) - 8.0, 0)
    wanted = np.stack([0.01 * zoom, 0 * pan, pan / 64, 0.3 * pan / 64], axis=1)
    shaken = wanted + np.random.default_rng(0).normal(size=(16, 4)) * 0.2 / REACH * (np.arange(16)[:, None] > 0)
    found = steady_camera(shaken, GRID, np.stack([pan, zoom], axis=1)).similarities
    assert np.abs((found - wanted) * REACH).max() < 0.3
    speeds = np.diff(found[:, 2])
    assert speeds[:8].std() < 1e-9 and speeds[8:].std() < 1e-9 and speeds[0] > 10 * abs(speeds[-1])


def test_where_a_camera_goes_another_way_than_asked_it_is_smoothed_where_it_is() -> None:
    time = np.arange(16.0)
    wanted = np.stack([0 * time, 0 * time, np.minimum(time, 8) / 8, 0 * time], axis=1)
    found = steady_camera(wanted, GRID, time[:, None]).similarities
    assert np.abs((found - wanted) * REACH).max() < 3
    assert np.abs(np.diff(found[10:, 2])).max() < 1e-9
