import math

import numpy as np
import pytest

from miva_core.rendering.flow_fit import centred_grid, fit_similarities, held, points_inside


def similar_flow(log_scale: float, angle: float, x: float, y: float, height: int, width: int) -> np.ndarray:
    """The flow (h, w, 2) of a similarity, by complex numbers: z -> e^(log scale + i angle) z + shift."""
    grid = centred_grid(height, width)
    places = (grid[..., 0] + 1j * grid[..., 1]) * np.exp(log_scale + 1j * angle) + x * width + 1j * y * height
    return np.stack([places.real - grid[..., 0], places.imag - grid[..., 1]], -1).astype(np.float32)


@pytest.mark.parametrize("size", [(24, 24), (16, 40)])
def test_a_similarity_is_found_among_outliers_and_noise(size: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    wanted = np.column_stack([generator.uniform(-r, r, 6) for r in (0.3, 0.4, 0.2, 0.2)])
    wanted[0] = 0
    flow = np.stack([similar_flow(*row, *size) for row in wanted])
    flow += generator.normal(scale=0.2, size=flow.shape).astype(np.float32)
    # A third of each frame moves elsewhere, all together, as a subject would.
    flow[:, : size[0] // 3] += [4.0, -5.0]
    found = fit_similarities(flow, np.ones(flow.shape[:3], np.float32))
    np.testing.assert_allclose(found, wanted, atol=0.02)
    assert not found[0].any()


def test_only_what_counts_is_looked_at() -> None:
    wanted = [0.1, -0.2, 0.05, 0.1]
    flow = np.stack([np.zeros((20, 20, 2), np.float32), similar_flow(*wanted, 20, 20)])
    weight = np.ones((2, 20, 20), np.float32)
    weight[:, 4:] = 0
    flow[1, 4:] = 100
    np.testing.assert_allclose(fit_similarities(flow, weight)[1], wanted, atol=1e-3)


def test_a_frame_in_which_hardly_anything_counts_is_not_known() -> None:
    flow, weight = np.stack([similar_flow(0, 0, 0.25, 0, 8, 8)] * 3), np.ones((3, 8, 8), np.float32)
    weight[2, :, 1:] = weight[2, 3:] = 0
    found = fit_similarities(flow, weight)
    assert found[1, 2] == pytest.approx(0.25, abs=1e-4) and np.isnan(found[2]).all() and not found[0].any()


@pytest.mark.parametrize("shape", [(6,), (6, 4)], ids=str)
@pytest.mark.parametrize("unit", [1, 1j])
def test_what_is_not_known_stays_as_it_was(shape: tuple[int, ...], unit: complex) -> None:
    values = np.arange(6).reshape(6, *[1] * (len(shape) - 1)) * unit * np.ones(shape)
    expected = values[[0, 0, 0, 3, 4, 4]]
    values[[1, 2, 5]] = np.nan
    assert (held(values) == expected).all()


def test_a_few_pixels_turn_nothing() -> None:
    """Two pixels side by side that differ by noise would turn by a right angle."""
    flow, weight = np.zeros((2, 8, 8, 2), np.float32), np.zeros((2, 8, 8), np.float32)
    weight[:, 3:5, 3:5], flow[1, 3:5, 3] = 1, [0.0, 0.3]
    assert np.abs(fit_similarities(flow, weight)[1, :2]).max() < 0.25


def test_pixels_are_inside_up_to_the_edge_of_the_outermost_pixel() -> None:
    flow = np.zeros((1, 3, 5, 2), np.float32)
    flow[0, 0, 0], flow[0, 1, 0], flow[0, 2, 4], flow[0, 0, 4] = [-0.49, -0.49], [-0.51, 0], [0, 0.51], [-4.4, 2.4]
    expected = np.ones((3, 5), bool)
    expected[1, 0] = expected[2, 4] = False
    assert (points_inside(flow)[0] == expected).all()


def test_the_grid_is_centred() -> None:
    grid = centred_grid(2, 3)
    assert grid[..., 0].tolist() == [[-1, 0, 1]] * 2 and grid[..., 1].tolist() == [[-0.5] * 3, [0.5] * 3]
    assert math.isclose(grid.sum(), 0)
