"""Scenes whose layers move by displacements, against formulas that are written out a pixel at a time."""

import math

import cv2
import numpy as np
import pytest
import torch
from scenes import exact_flow, waves, wavy_picture

from miva_core.clips.camera import UNIT_MOVES, CameraMove, move_transforms
from miva_core.errors import MIVAError
from miva_core.rendering.layered_motion import Carried, LayeredMotion, Parallax, Staying
from miva_core.rendering.scene import Scene
from miva_core.rendering.timing import ClipTimes, Timing
from miva_core.rendering.view import View

SIZE = (64, 96)
PICTURE = wavy_picture(*SIZE)
WHOLE = View(SIZE, (0, 0, *SIZE))
GRID = (64.0, 96.0)
TIMES = ClipTimes(np.arange(16.0), np.arange(16.0))
LEFT = np.zeros(SIZE, np.float32)
LEFT[:, :48] = 1
ROWS, COLUMNS = np.mgrid[: SIZE[0], : SIZE[1]]


def still(time: float) -> np.ndarray:
    return np.eye(2, 3)


def moving(move: CameraMove, speed: float = 1.0):
    def camera(time: float) -> np.ndarray:
        """The same motion as of a whole clip, stopped at a time."""
        return move_transforms(move, speed * time, 2)[0, 1].numpy() if time else still(time)

    return camera


def shifting(x: float, y: float):
    """All goes so far in a frame, and shows what was on the other side."""
    return lambda places, time: np.broadcast_to(np.float32([x, y]) * np.float32(time), places.shape)


def layered(motion: LayeredMotion, times: ClipTimes = TIMES, **more: object) -> Scene:
    return Scene.layered(PICTURE, motion, WHOLE, times, **more)  # type: ignore[arg-type]


def box(top: int, bottom: int, left: int, right: int) -> np.ndarray:
    mask = np.zeros(SIZE, np.float32)
    mask[top:bottom, left:right] = 1
    return mask


# --- camera ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pan_left", "zoom_out", "roll_cw"])
@pytest.mark.parametrize("edges", ["inside", "mirror"])
def test_a_camera_alone_is_the_camera_of_a_flow(name: str, edges: str) -> None:
    """`Scene.of` fits its path to the exact flow of the same move."""
    speed = 0.3
    move = CameraMove(*(_times(value, speed) for value in vars(UNIT_MOVES[name]).values()))
    scene = layered(LayeredMotion(GRID, moving(UNIT_MOVES[name], speed)), edges=edges)
    other = Scene.of(PICTURE, exact_flow(move, 64, 96), {}, WHOLE, TIMES.eased, edges)  # type: ignore[arg-type]
    assert (scene.window.zoom, scene.window.x) == pytest.approx((other.window.zoom, other.window.x), abs=1e-3)
    for i in (0, 7, 15):
        np.testing.assert_allclose(scene.frame(i).pixels, other.frame(i).pixels, atol=0.01)
    assert not scene.layers.rests and scene.shares_seen() == pytest.approx(other.shares_seen(), abs=0.04)


def _times(value: float | tuple[float, float], speed: float) -> float | tuple[float, float]:
    return tuple(speed * v for v in value) if isinstance(value, tuple) else speed * value  # type: ignore[return-value]


# --- regions ---------------------------------------------------------------------------------------------------------


def test_a_region_behind_others_shows_the_formula_and_leaves_all_else_as_it_is() -> None:
    region = Staying("sky", LEFT, shifting(-0.5, 0.25), behind=True)
    scene = layered(LayeredMotion(GRID, still, staying=[region]))
    assert scene.layers.rests and torch.equal(scene.frame(0).pixels, PICTURE)
    frame = scene.frame(8)
    inside = frame.masks["sky"].numpy() == 1
    # What comes from within the mask, and not from beyond the picture, is known.
    known = inside & (COLUMNS > 8) & (ROWS < 60) & (COLUMNS < 40)
    assert known.sum() > 1000
    expected = waves(COLUMNS - 4.0, ROWS + 2.0)
    np.testing.assert_allclose(frame.pixels.numpy()[known], expected[known], atol=0.005)
    assert torch.equal(frame.pixels[:, 60:], PICTURE[:, 60:]) and not frame.masks["sky"][:, 60:].any()


def test_nothing_of_what_hides_a_region_is_dragged_into_it() -> None:
    """A red house in a blue sky, which drifts by the width of the house."""
    house = box(30, 64, 40, 56)
    blue, red = torch.tensor([0.2, 0.4, 0.9]), torch.tensor([0.9, 0.1, 0.1])
    picture = torch.where(torch.from_numpy(house)[..., None] > 0, red, blue).contiguous()
    for behind, front in ((True, None), (False, torch.from_numpy(house))):
        mask = 1 - house if behind else np.ones(SIZE, np.float32)
        motion = LayeredMotion(GRID, still, staying=[Staying("sky", mask, shifting(1.0, 0), behind=behind)])
        frame = Scene.layered(picture, motion, WHOLE, TIMES, front=front).frame(12).pixels
        np.testing.assert_allclose(frame, picture, atol=0.03)


def test_of_a_mask_that_reaches_into_what_hides_a_region_nothing_is_dragged_out() -> None:
    """A red house in a blue sky, whose mask takes six pixels of it; within eight of its edge a mask is settled."""
    house = np.zeros((320, 480), np.float32)
    house[150:, 200:280] = 1
    blue, red = torch.tensor([0.2, 0.4, 0.9]), torch.tensor([0.9, 0.1, 0.1])
    picture = torch.where(torch.from_numpy(house)[..., None] > 0, red, blue).contiguous()
    sky = 1 - cv2.erode(house, np.ones((13, 13)), borderValue=1.0)
    motion = LayeredMotion(GRID, still, staying=[Staying("sky", sky, shifting(0.5, 0), behind=True)])
    frame = Scene.layered(picture, motion, View((320, 480), (0, 0, 320, 480)), TIMES).frame(15).pixels
    beside = cv2.dilate(house, np.ones((7, 7))) == 0
    beside[:180] = False  # In its corners the mask is farther off than that.
    np.testing.assert_allclose(frame.numpy()[beside], picture.numpy()[beside], atol=0.03)


def test_a_soft_region_bends_by_its_share_of_the_motion() -> None:
    mask = box(20, 44, 30, 66)
    scene = layered(LayeredMotion(GRID, still, staying=[Staying("tree", mask, shifting(0.2, 0))]))
    share = scene.layers.soft.regions[0].share  # type: ignore[union-attr]
    assert share[24:40, 34:62].min() == 1 and share[:8].max() == share[:, :18].max() == 0
    assert np.abs(np.diff(share, axis=1)).max() < 0.3  # It ends softly.
    frame = scene.frame(10)
    np.testing.assert_allclose(frame.pixels, waves(COLUMNS + 2.0 * share, ROWS), atol=0.02)
    carried = np.array([[mask[y, min(95, round(x + 2.0 * share[y, x]))] for x in range(96)] for y in range(64)])
    assert np.abs(frame.masks["tree"].numpy() - carried).mean() < 0.01


def test_a_soft_region_that_the_camera_leaves_behind_bends_nothing_more() -> None:
    tree = Staying("tree", LEFT, shifting(0.2, 0))
    motion = LayeredMotion(GRID, moving(UNIT_MOVES["pan_right"], 4.0), staying=[tree])
    alone = LayeredMotion(GRID, motion.camera)
    frames = [layered(one, edges="mirror").frame(15) for one in (motion, alone)]
    assert torch.equal(frames[0].pixels[:, 24:], frames[1].pixels[:, 24:]) and not frames[0].masks["tree"].any()


def test_what_is_in_front_may_lie_where_no_frame_looks() -> None:
    view, post = View((64, 64), (0, 0, 64, 64)), torch.from_numpy(box(0, 64, 90, 96))
    motion = LayeredMotion((64.0, 64.0), still, staying=[Staying("tree", box(20, 44, 10, 40), shifting(0.2, 0))])
    frames = [Scene.layered(PICTURE, motion, view, TIMES, front=front).frame(9).pixels for front in (post, None)]
    assert torch.equal(*frames)


# --- cut-outs --------------------------------------------------------------------------------------------------------


def test_a_cut_out_is_carried_over_a_painted_ground_and_hidden_by_what_is_in_front() -> None:
    subject, post = box(20, 40, 20, 36), box(0, 64, 60, 70)
    grey, red, green = (torch.tensor(colour) for colour in ((0.5, 0.5, 0.5), (0.9, 0.1, 0.1), (0.1, 0.8, 0.1)))
    picture = torch.where(torch.from_numpy(subject)[..., None] > 0, red, grey)
    picture = torch.where(torch.from_numpy(post)[..., None] > 0, green, picture).contiguous()
    motion = LayeredMotion(GRID, still, carried=[Carried("it", subject, shifting(-3.0, 0))])
    scene = Scene.layered(picture, motion, WHOLE, TIMES, front=torch.from_numpy(post))
    frame = scene.frame(12)
    assert scene.moving == ("it",)
    # From 20 … 36 it has gone to 56 … 72, of which the post hides 60 … 70.
    expected = torch.where(torch.from_numpy(post)[..., None] > 0, green, grey)
    expected = torch.where(torch.from_numpy(np.roll(subject, 36, 1) * (1 - post))[..., None] > 0, red, expected)
    assert (frame.pixels - expected).abs().mean() < 0.01
    assert frame.masks["it"][22:38, 57:59].min() > 0.9 and frame.masks["it"][:, 61:69].max() < 0.1


# --- depth -----------------------------------------------------------------------------------------------------------


def truck(places: np.ndarray, time: float, nearness: np.ndarray | float) -> np.ndarray:
    shift = -time * (0.2 + nearness) * np.ones(places.shape[:-1], np.float32)
    return places + np.stack([shift, 0 * shift], -1)


def test_what_is_near_hides_what_is_far_as_if_it_were_painted_last() -> None:
    """A slow painter: each pixel of frame 1, from the farthest on, is put where it goes."""
    picture = torch.rand(*SIZE, 3, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.2
    near = box(16, 48, 40, 64)
    picture[near > 0] += 0.5
    motion = LayeredMotion(GRID, still, Parallax(0.1 + 0.7 * near, truck))
    frame = Scene.layered(picture, motion, WHOLE, ClipTimes(np.arange(11.0), np.arange(11.0)), "mirror").frame(10)
    # It trucks to the left: what is far goes 3 pixels to the right, what is near 10.
    canvas = np.full((*SIZE, 3), np.nan)
    for nearness, shift in ((0.1, 3), (0.8, 10)):
        for y, x in zip(*np.nonzero(np.isclose(0.1 + 0.7 * near, nearness)), strict=True):
            if x + shift < 96:
                canvas[y, x + shift] = picture[y, x]
    inside = np.zeros(SIZE, bool)
    # Beside edges in depth near things are a few pixels larger.
    inside[20:44, 55:70] = inside[4:12, 8:90] = inside[20:44, 8:36] = inside[20:44, 78:90] = True
    np.testing.assert_allclose(frame.pixels.numpy()[inside], canvas[inside], atol=0.02)
    uncovered = frame.pixels.numpy()[24:40, 44:48]
    assert np.isnan(canvas[24:40, 44:48]).all() and uncovered.max() < 0.5  # It is painted like what is far.


def bending(places: np.ndarray, time: float) -> np.ndarray:
    """A smooth bend of up to three pixels in ten frames."""
    return np.float32(0.3 * time) * np.stack([np.cos(places[..., 1] / 9), np.sin(places[..., 0] / 11)], -1)


@pytest.mark.parametrize("residual", [shifting(-0.4, 0.2), bending])
def test_what_is_left_of_a_flow_bends_both_sides_of_an_edge_in_depth_and_what_comes_into_view(residual) -> None:
    """Two planes, each of which goes where it goes and is bent; the near one hides the far one."""
    near = box(16, 48, 40, 64)
    picture = torch.from_numpy(np.where(near[..., None] > 0, 0.8, 0.3 * waves(COLUMNS, ROWS))).float()
    motion = LayeredMotion(GRID, still, Parallax(0.1 + 0.7 * near, truck), residual=residual)
    frame = Scene.layered(picture, motion, WHOLE, ClipTimes(np.arange(11.0), np.arange(11.0)), "mirror").frame(10)
    x, y = np.moveaxis(residual(np.stack([COLUMNS - 47.5, ROWS - 31.5], -1), 10.0), -1, 0) + np.stack([COLUMNS, ROWS])
    # It trucks to the left: what is far goes 3 pixels to the right, what is near 10.
    there = (np.abs(x - 10 - 51.5) < 12) & (np.abs(y - 31.5) < 16)
    close = cv2.dilate(there.astype(np.uint8), np.ones((5, 5))) - cv2.erode(there.astype(np.uint8), np.ones((5, 5)))
    uncovered = ~there & (np.abs(x - 3 - 51.5) < 14) & (np.abs(y - 31.5) < 18)
    known = (close == 0) & ~uncovered & (COLUMNS > 8) & (COLUMNS < 86) & (ROWS > 6) & (ROWS < 58)
    assert there.sum() > 600 and (uncovered & (close == 0)).sum() > 30
    expected = np.where(there[..., None], 0.8, 0.3 * waves(x - 3, y))
    np.testing.assert_allclose(frame.pixels.numpy()[known], expected[known], atol=0.01)
    assert frame.pixels.numpy()[uncovered & (close == 0)].max() < 0.4  # It is painted like what is far.


@pytest.mark.parametrize("way", [-6, 6])
def test_a_near_thing_that_bends_takes_its_edge_in_depth_along(way: int) -> None:
    """A bright board before a dark wall: both go their way in depth, and the board so many pixels beside.

    Four pixels are a field unit, so that regions draw along eight of what is around them.
    """
    near = box(16, 48, 24, 48)
    picture = torch.rand(*SIZE, 3, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.2
    picture[near > 0] += 0.5
    board = Staying("board", near, shifting(-way / 20, 0))
    motion = LayeredMotion((16.0, 24.0), still, Parallax(0.1 + 0.8 * near, truck), staying=[board])
    scene = Scene.layered(picture, motion, WHOLE, ClipTimes(np.arange(6.0), np.arange(6.0)), "mirror")
    bright = scene.frame(5).pixels.mean(-1).numpy() > 0.55
    # In depth the wall goes 6 pixels to the right, the board 22.
    expected = np.roll(near, 22 + way, 1)
    around, inside = cv2.dilate(expected, np.ones((7, 7))) > 0, cv2.erode(expected, np.ones((7, 7))) > 0
    assert not bright[~around].any() and bright[inside].all()


def test_a_soft_region_bends_what_comes_into_view_behind_a_near_thing() -> None:
    near = box(16, 48, 40, 64)
    picture = torch.from_numpy(np.where(near[..., None] > 0, 0.8, 0.3 * waves(COLUMNS, ROWS))).float()
    everywhere = Staying("wind", np.ones(SIZE, np.float32), shifting(0.4, 0))
    motion = LayeredMotion(GRID, still, Parallax(0.1 + 0.7 * near, truck), staying=[everywhere])
    frame = Scene.layered(picture, motion, WHOLE, ClipTimes(np.arange(11.0), np.arange(11.0)), "mirror").frame(10)
    # What is far goes 3 pixels to the right, what is near 10, all 4 to the left: from 39 to 46 is what was behind it.
    assert frame.pixels[20:44, 41:44].max() < 0.4 < 0.7 < frame.pixels[20:44, 48:68].min()


def test_a_dolly_takes_depth_as_the_formula_says() -> None:
    """Each place of a smooth depth, found by bisection along the ray through it."""
    ramp = np.repeat(np.linspace(0, 1, 64, dtype=np.float32)[:, None], 96, 1)

    def dolly(places: np.ndarray, time: float, nearness: np.ndarray | float) -> np.ndarray:
        scale = np.exp(-0.024 * time * (0.2 + nearness)) * np.ones(places.shape[:-1], np.float32)
        return places * scale[..., None]

    scene = layered(LayeredMotion(GRID, still, Parallax(ramp, dolly)))
    frame = scene.frame(12).pixels.numpy()
    for y, x in ((10, 20), (32, 80), (55, 40)):
        place = np.array([x - 47.5, y - 31.5])
        low, high = 0.0, 1.0
        for _ in range(40):
            middle = (low + high) / 2
            row = place[1] * math.exp(-0.024 * 12 * (0.2 + middle))
            low, high = (middle, high) if (row + 31.5) / 63 > middle else (low, middle)
        source = place * math.exp(-0.024 * 12 * (0.2 + low))
        np.testing.assert_allclose(frame[y, x], waves(source[0] + 47.5, source[1] + 31.5), atol=0.01)


# --- time ------------------------------------------------------------------------------------------------------------


def waving(period: float):
    def displace(places: np.ndarray, time: float) -> np.ndarray:
        y = 2 * (np.sin(places[..., 0] / 5 - 2 * math.pi * time / period) - np.sin(places[..., 0] / 5))
        return np.stack([0 * y, y], -1)

    return displace


@pytest.mark.parametrize("duration", [2.0, 3.3])
def test_a_loop_closes(duration: float) -> None:
    """From the last frame to the first it is no farther than between neighbours, whatever moves."""
    times = ClipTimes.of(Timing(8, duration, "linear", True), 16, 8)
    motion = LayeredMotion(
        GRID,
        moving(UNIT_MOVES["zoom_in"], 0.3),
        staying=[
            Staying("waves", box(40, 64, 0, 96), waving(8), 8.0, True),
            Staying("clouds", box(0, 16, 0, 96), shifting(0.4, 0), None, True),
        ],
        carried=[Carried("it", box(20, 34, 40, 60), shifting(0.5, 0))],
    )
    frames = [frame.pixels for frame in layered(motion, times)]
    steps = [float((a - b).abs().mean()) for a, b in zip(frames, [*frames[1:], frames[0]], strict=True)]
    assert min(steps) > 0 and steps[-1] < 1.5 * sorted(steps)[-2]


def test_waves_go_on_after_the_clip_of_a_base_as_they_began() -> None:
    times = ClipTimes.of(Timing(8, 5.0), 16, 8)
    scene = layered(LayeredMotion(GRID, still, staying=[Staying("waves", LEFT, waving(8), 8.0, True)]), times)
    assert len(scene) == 40 and not torch.equal(scene.frame(3).pixels, scene.frame(5).pixels)
    torch.testing.assert_close(scene.frame(35).pixels, scene.frame(3).pixels, atol=1e-3, rtol=0)


# --- what cannot be --------------------------------------------------------------------------------------------------


def test_parts_that_do_not_fit_are_refused() -> None:
    wrong = LayeredMotion(GRID, still, staying=[Staying("sky", LEFT[:-1], shifting(1, 0))])
    with pytest.raises(MIVAError, match="The mask of sky is of shape"):
        layered(wrong)
    with pytest.raises(MIVAError, match="The camera leaves the picture so far"):
        layered(LayeredMotion(GRID, moving(UNIT_MOVES["pan_left"], 40.0)))
