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
    shaken = wanted + np.random.default_rng(0).normal(size=(16, 4)) * 0.25 / REACH * (time > 0)
    found = steady_camera(shaken, GRID).similarities
    assert np.abs((found - wanted) * REACH).max() < 0.35
    assert tremor(shaken) > 1 and tremor(found) < 0.02 and not found[0].any()


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
    assert steady_camera(0.08 * leak, GRID).at_rest and not steady_camera(0.1 * leak, GRID).at_rest
