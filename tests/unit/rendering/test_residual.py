import numpy as np
import pytest

from miva_core.rendering.residual import Residual, ground_residual, kept_residual

FRAMES, SIDE = 6, 32
EVERYWHERE = np.ones((FRAMES, SIDE, SIDE), np.float32)


def bump(height: float) -> np.ndarray:
    """A flow (F, h, w, 2) that grows in time and is widest in the middle."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    shape = np.exp(-(x**2 + y**2) / 2 / 9**2)
    flow = np.zeros((FRAMES, SIDE, SIDE, 2), np.float32)
    flow[..., 0] = np.linspace(0, height, FRAMES)[:, None, None] * shape
    return flow


def test_noise_of_a_stiff_motion_is_dropped() -> None:
    stiff = np.linspace(0, 9, FRAMES, dtype=np.float32)[:, None, None, None] * np.ones(
        (FRAMES, SIDE, SIDE, 2), np.float32
    )
    noise = np.random.default_rng(0).normal(size=stiff.shape).astype(np.float32)
    assert kept_residual(stiff + noise, stiff, EVERYWHERE) is None
    # Smooth and twice the noise, but little beside what moves.
    assert kept_residual(stiff + bump(3), stiff, EVERYWHERE) is None


def test_a_part_that_stands_out_of_a_moving_ground_is_kept_and_nothing_else() -> None:
    y, x = np.mgrid[:64, :64]
    stiff = np.linspace(0, 12, 16, dtype=np.float32)[:, None, None, None] * np.ones((16, 64, 64, 2), np.float32)
    rest, noise = np.zeros_like(stiff), np.random.default_rng(0).normal(scale=0.3, size=stiff.shape)
    rest[2:, np.hypot(x - 14, y - 20) < 9, 1] = 9
    flow, weight = stiff + rest + noise.astype(np.float32), np.ones(stiff.shape[:3], np.float32)
    assert kept_residual(flow, stiff, weight) is None
    # The steadied camera is two pixels beside what was fitted, which the part does not show.
    kept = ground_residual(flow, stiff + 2, stiff, weight)
    assert kept is not None
    np.testing.assert_allclose(kept.flow[8, 20, 14], [0, 9], atol=0.7)
    assert not kept.flow[:, :, -16:].any() and not kept.flow[0].any()
    # In fewer frames than a fifth it is a fit that failed.
    flow[2:-2] = (stiff + noise)[2:-2]
    assert ground_residual(flow, stiff + 2, stiff, weight) is None


def test_a_leak_into_a_ground_at_rest_is_dropped() -> None:
    assert kept_residual(bump(1), np.zeros_like(bump(1)), EVERYWHERE) is None


def test_what_bends_is_kept_without_its_noise() -> None:
    noise = np.random.default_rng(0).normal(scale=0.3, size=bump(9).shape).astype(np.float32)
    kept = kept_residual(bump(9) + noise, np.zeros_like(noise), EVERYWHERE)
    assert kept is not None and not kept.flow[0].any()
    assert np.abs(kept.flow - bump(9)).max() < 1.2
    roughness = [np.abs(np.diff(flow, 2, axis=1)).mean() for flow in (kept.flow, bump(9) + noise)]
    assert roughness[0] < 0.1 * roughness[1]


def test_it_is_continued_from_where_it_is_known_and_ends_far_away() -> None:
    weight = np.zeros_like(EVERYWHERE)
    weight[:, 12:20, 12:20] = 1
    flow = bump(9) + (1 - weight[..., None]) * 50
    kept = kept_residual(flow, np.zeros_like(flow), weight)
    assert kept is not None
    known = bump(9)[-1, 12:20, 12:20, 0].mean()
    assert kept.flow[-1, 16, 22, 0] == pytest.approx(known, rel=0.1) and np.abs(kept.flow[-1, 0]).max() < 0.1


def test_it_is_linear_in_time() -> None:
    rest = Residual(bump(9))
    np.testing.assert_allclose(rest.at(2.25), 0.75 * bump(9)[2] + 0.25 * bump(9)[3], rtol=1e-5)
    np.testing.assert_array_equal(rest.at(FRAMES - 1), bump(9)[-1])
