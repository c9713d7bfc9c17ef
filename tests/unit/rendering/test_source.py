import numpy as np
import pytest

from miva_core.rendering.source import seen_source
from miva_core.rendering.view import View

PICTURE = np.random.default_rng(0).random((60, 80, 3), dtype=np.float32)
FRAME = np.array([[-20, 20], [-15, 15]])
"""Corners of a whole view of 40x30, off its centre."""


def test_a_picture_as_fine_as_the_frames_is_taken_as_it_is() -> None:
    view = View((60, 80), (0, 0, 60, 80))
    source = seen_source(view, (60, 80), FRAME * 2, 1.0)
    assert source.taken(PICTURE).base is not None and np.array_equal(source.taken(PICTURE), PICTURE)
    # The outer corner of the first pixel lies half a pixel before its centre.
    np.testing.assert_allclose(source.from_view() @ [-40, -30, 1], [-0.5, -0.5, 1])


def test_only_what_frames_see_is_taken() -> None:
    view = View((60, 80), (0, 0, 60, 80))
    source = seen_source(view, (60, 80), np.array([[-10, 5], [-20, 8]]), 1.0)
    top, left, height, width = source.box
    assert (top, left) == (10 - 4, 30 - 4) and (top + height, left + width) == (38 + 4, 45 + 4)
    np.testing.assert_array_equal(source.taken(PICTURE), PICTURE[top : top + height, left : left + width])
    np.testing.assert_allclose(source.from_view() @ [0, 0, 1], [40 - left - 0.5, 30 - top - 0.5, 1])


@pytest.mark.parametrize("closest", [1.0, 0.5])
def test_a_picture_is_no_finer_than_the_closest_frame(closest: float) -> None:
    """Shown at half its size; a camera that comes twice as close needs all of it."""
    view = View((30, 40), (0, 0, 60, 80))
    source = seen_source(view, (60, 80), FRAME, closest)
    taken = source.taken(PICTURE)
    assert taken.shape == ((30, 40, 3) if closest == 1 else (60, 80, 3))
    if closest == 1:
        means = PICTURE.reshape(30, 2, 40, 2, 3).mean((1, 3))
        np.testing.assert_allclose(taken, means, atol=1e-6)
    np.testing.assert_allclose(source.from_view() @ [20, 15, 1], [taken.shape[1] - 0.5, taken.shape[0] - 0.5, 1])


def test_a_picture_is_never_enlarged() -> None:
    source = seen_source(View((600, 800), (0, 0, 60, 80)), (60, 80), FRAME * 20, 0.3)
    assert source.taken(PICTURE).shape == (60, 80, 3)


def test_a_view_of_a_part_may_see_what_is_around_it() -> None:
    view = View((30, 40), (10, 20, 30, 40))
    source = seen_source(view, (60, 80), np.array([[-20, 30], [-15, 15]]), 1.0)
    assert source.box == (10 - 4, 20 - 4, 30 + 8, 50 + 8)
    np.testing.assert_allclose(source.from_view() @ [-20, -15, 1], [4 - 0.5, 4 - 0.5, 1])


@pytest.mark.parametrize("way", [-1, 1])
def test_a_camera_that_sees_nothing_of_the_picture_takes_its_last_pixels(way: int) -> None:
    """As a mirror camera that has left it in all frames of a clip."""
    away = way * np.array([[300], [200]])
    for off in (away, away * [[1], [0]], away * [[0], [1]]):
        source = seen_source(View((60, 80), (0, 0, 60, 80)), (60, 80), FRAME * 2 + off, 1.0)
        top, left, height, width = source.box
        assert min(top, left) >= 0 and min(height, width) >= 1 and top + height <= 60 and left + width <= 80
        assert source.taken(PICTURE).shape == (*source.size, 3)
        nearest = [top + height if way > 0 else top, left + width if way > 0 else left]
        at_edge = [60 if way > 0 else 0, 80 if way > 0 else 0]
        assert all(n == e for n, e, o in zip(nearest, at_edge, off[::-1], strict=True) if o)


def test_a_source_is_no_larger_than_can_be_sampled() -> None:
    """A camera that sees all of a scan of 20000 pixels, and at last comes close."""
    wide = np.zeros((50, 20_000), np.float32)
    source = seen_source(View((64, 1024), (0, 0, 50, 20_000)), wide.shape, np.array([[-512, 512], [-32, 32]]), 0.01)
    assert source.taken(wide).shape == source.size == (20, 8192)
