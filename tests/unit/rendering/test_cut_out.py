"""The colours of a subject without the background's."""

import numpy as np

from miva_core.rendering.cut_out import cut_out


def soft_disc(height: int, width: int, radius: float, softness: float) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    distance = radius - np.hypot(rows - height / 2, columns - width / 2)
    return np.clip(distance / softness + 0.5, 0, 1).astype(np.float32)


def test_the_background_is_taken_out_of_a_soft_edge() -> None:
    """A plain subject on a ground of another colour is found in its own, to the last of its soft edge."""
    alpha = soft_disc(120, 160, 40, 8)
    own, ground = np.float32([0.9, 0.3, 0.1]), np.float32([0.1, 0.6, 0.9])
    background = np.broadcast_to(ground, (120, 160, 3))
    picture = alpha[..., None] * own + (1 - alpha[..., None]) * background
    colours = cut_out(picture, alpha, background)
    edge = (alpha > 0.05) & (alpha < 0.95)
    assert np.abs(picture - own)[edge].max() > 0.5
    assert np.abs(colours - own)[alpha > 0.05].max() < 0.03


def test_a_cut_out_put_back_gives_the_picture() -> None:
    random = np.random.default_rng(0)
    alpha = soft_disc(120, 160, 40, 6)
    own, background = random.random((2, 120, 160, 3), np.float32) * 0.5 + np.float32([[[[0]]], [[[0.5]]]])
    picture = alpha[..., None] * own + (1 - alpha[..., None]) * background
    colours = cut_out(picture, alpha, background)
    again = alpha[..., None] * colours + (1 - alpha[..., None]) * background
    assert np.sqrt(np.mean((again - picture)[alpha > 0] ** 2)) < 0.03
    np.testing.assert_allclose(colours[alpha == 1], picture[alpha == 1], atol=1e-6)


def test_colours_stay_in_range() -> None:
    random = np.random.default_rng(1)
    picture, background = random.random((2, 40, 60, 3), np.float32)
    colours = cut_out(picture, random.random((40, 60), np.float32), background)
    assert colours.dtype == np.float32 and colours.min() >= 0 and colours.max() <= 1
