import math

import numpy as np
import pytest

from miva_core.errors import MIVAError
from miva_core.rendering.path import similarity_matrix
from miva_core.rendering.view import View
from miva_core.rendering.window import Window, shares_seen, window_inside

SIZE = (60, 90)
WHOLE = View(SIZE, (0, 0, 120, 180))


def cameras(*similarities: tuple[float, float, float, float], size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    return [np.eye(3), *(similarity_matrix(np.array(one), size) for one in similarities)]


def overhang(
    window: Window, moves: list[np.ndarray], view: View, picture: tuple[int, int], step: tuple[int, int] = (1, 1)
) -> float:
    """By how many pixels of the picture a frame sees beyond it, at most; negative: what is left. Pixels are tried."""
    (height, width), (top, left, box_height, box_width) = view.size, view.box
    y, x = np.mgrid[: height + 1 : step[0], : width + 1 : step[1]]
    points = np.stack([x - width / 2, y - height / 2, np.ones_like(x)], -1)
    worst = -math.inf
    for move in moves:
        places = points @ move.T * window.zoom + [window.x * width, window.y * height, 0]
        across = left + box_width / 2 + places[..., 0] * box_width / width
        down = top + box_height / 2 + places[..., 1] * box_height / height
        worst = max(worst, -across.min(), across.max() - picture[1], -down.min(), down.max() - picture[0])
    return worst


MOVES = {
    "pan": [(0, 0, 0.1, 0), (0, 0, 0.25, 0)],
    "diagonal": [(0, 0, -0.1, 0.2)],
    "zoom out": [(0.1, 0, 0, 0), (0.3, 0, 0, 0)],
    "roll": [(0, 0.1, 0, 0), (0, 0.4, 0, 0)],
    "all": [(0.1, 0.2, 0.1, -0.05), (-0.2, 0.3, -0.2, 0.1)],
}


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("box", [(0, 0, 120, 180), (30, 20, 80, 120)], ids=["whole", "crop"])
def test_no_pixel_of_any_frame_lies_beyond_the_picture(name: str, box: tuple[int, int, int, int]) -> None:
    view, moves = View(SIZE, box), cameras(*MOVES[name])
    window = window_inside(moves, view, (120, 180))
    assert window.whole == (overhang(Window(), moves, view, (120, 180)) <= 0)
    if window.whole:
        return
    # Three pixels of the picture, or of the clip where those are larger.
    margin = 3 * max(1, box[3] / SIZE[1])
    assert overhang(window, moves, view, (120, 180)) < -margin + 1e-6
    # No larger one would do, wherever it is.
    larger = [
        overhang(Window(window.zoom * 1.03, x, y), moves, view, (120, 180), SIZE)
        for x in np.linspace(-0.5, 0.5, 41)
        for y in np.linspace(-0.5, 0.5, 41)
    ]
    assert window.zoom == 1 or min(larger) > -margin


def test_a_camera_that_stays_inside_sees_all() -> None:
    assert window_inside(cameras((-0.3, 0, 0, 0)), WHOLE, (120, 180)).whole
    assert window_inside(cameras(), WHOLE, (120, 180)).whole


def test_what_was_cut_off_may_be_seen() -> None:
    """A pan by a quarter of the view, where as much of the picture lies beside it."""
    middle = View(SIZE, (0, 60, 120, 180))
    assert window_inside(cameras((0, 0, 0.25, 0)), middle, (120, 300)).whole
    beside = window_inside(cameras((0, 0, 0.45, 0)), middle, (120, 300))
    # It looks a little to the other side before it becomes smaller.
    assert beside.zoom == 1 and beside.x == pytest.approx(1 / 3 - 0.45 - 3 / 90) and beside.y == 0


def test_a_window_is_where_the_way_is() -> None:
    window = window_inside(cameras((0, 0, 0.25, 0)), WHOLE, (120, 180))
    assert window.zoom == pytest.approx((90 - 6) / 90 / 1.25) and window.x < 0 and window.y == 0
    np.testing.assert_allclose(
        window.matrix(SIZE) @ [10, 20, 1], [10 * window.zoom + 90 * window.x, 20 * window.zoom, 1]
    )


def test_an_enlarged_picture_keeps_its_own_pixels_off_the_edge() -> None:
    window = window_inside(cameras((0, 0, 0.25, 0)), View(SIZE, (0, 0, 30, 45)), (30, 45))
    assert window.zoom == pytest.approx((45 - 6) / 45 / 1.25)


def test_a_window_that_shows_next_to_nothing_is_refused() -> None:
    assert window_inside(cameras((0, 0, 2.5, 0)), WHOLE, (120, 180)).zoom > 0.25
    with pytest.raises(MIVAError, match="only 23 % of its sides could be shown"):
        window_inside(cameras((0, 0, 3.0, 0)), WHOLE, (120, 180))
    with pytest.raises(MIVAError, match="so far that less than 1 % of its sides"):
        window_inside(cameras((9.0, 0, 0, 0)), WHOLE, (120, 180))


@pytest.mark.parametrize(
    ("move", "window", "sides", "area"),
    [
        ((0, 0, 0, 0), Window(), 1, 1),
        ((0, 0, 0.5, 0), Window(), 1, 0.5),
        ((0, 0, 0.5, -0.5), Window(), 1, 0.25),
        ((0, 0, -1.5, 0), Window(), 1, 0),
        ((math.log(0.2), 0, 0, 0), Window(), 0.2, 1),
        ((math.log(2), 0, 0, 0), Window(), 2, 0.25),
        ((math.log(0.5), 0.3, 0, 0), Window(0.5, 0.1, 0), 0.25, 1),
        ((0, math.pi / 2, 0, 0), Window(), 1, 2 / 3),
    ],
)
def test_how_much_is_seen_of_a_picture(
    move: tuple[float, float, float, float], window: Window, sides: float, area: float
) -> None:
    """The picture is 3:2; turned by a quarter it covers a square of the frame."""
    found = shares_seen(cameras(move)[1], window, WHOLE, (120, 180))
    assert found == pytest.approx((sides, area), abs=1 / 30)


def test_what_was_cut_off_is_seen_as_the_picture() -> None:
    move, crop = cameras((0, 0, 0.5, 0), size=(60, 60))[1], View((60, 60), (0, 30, 120, 120))
    assert shares_seen(move, Window(), crop, (120, 180))[1] == pytest.approx(0.5 + 0.25, abs=1 / 30)
    assert shares_seen(move, Window(), View((60, 60), (0, 0, 120, 120)), (120, 180))[1] == 1
