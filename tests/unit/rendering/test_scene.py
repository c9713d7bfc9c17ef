import math
from typing import Any

import numpy as np
import pytest
import torch
from scenes import exact_flow, waves, wavy_picture

from miva_core.clips.camera import CameraMove
from miva_core.errors import MIVAError
from miva_core.media.pictures import fit_picture, scale_picture
from miva_core.rendering.scene import Scene
from miva_core.rendering.timing import Timing, flow_times
from miva_core.rendering.view import View

SIZE = (48, 72)
PICTURE = wavy_picture(*SIZE)
WHOLE = View(SIZE, (0, 0, *SIZE))
TIMES = np.arange(16.0)
GRID = 24
STILL = torch.zeros(16, 2, GRID, GRID)

MOVES = {
    "pan": CameraMove(pan=(-0.3, 0.1)),
    "zoom in": CameraMove(zoom=0.02),
    "zoom out": CameraMove(zoom=-0.02),
    "roll": CameraMove(roll=0.02),
    "all": CameraMove(pan=(0.2, 0.1), zoom=-0.01, roll=-0.01),
}


def expected(move: CameraMove, time: float, scene: Scene) -> np.ndarray:
    """What a camera sees of the wavy picture at the place of each pixel, in float64."""
    (height, width), (top, left, box_height, box_width) = scene.view.size, scene.view.box
    y, x = np.mgrid[:height, :width]
    z = (x - (width - 1) / 2) + 1j * (y - (height - 1) / 2)
    shift = move.pan[0] * time * width / GRID + 1j * move.pan[1] * time * height / GRID
    z = z * np.exp((-move.zoom + 1j * move.roll) * time) + shift
    z = z * scene.window.zoom + scene.window.x * width + 1j * scene.window.y * height
    across = z.real * box_width / width + left + (box_width - 1) / 2
    down = z.imag * box_height / height + top + (box_height - 1) / 2
    return waves(across, down)


def disc(x: float, y: float, radius: float, size: tuple[int, int] = SIZE) -> torch.Tensor:
    rows, columns = np.mgrid[: size[0], : size[1]]
    return torch.from_numpy((np.hypot(columns - x, rows - y) < radius).astype(np.float32))


def jumping(mask: torch.Tensor, height: float = 4.0) -> torch.Tensor:
    """A flow in which a subject jumps twice by so many pixels of the grid and nothing else moves."""
    flow = torch.zeros(16, 2, GRID, GRID)
    rows, columns = torch.meshgrid(torch.arange(GRID), torch.arange(GRID), indexing="ij")
    small = scale_picture(mask[..., None], (GRID, GRID))[..., 0]
    for i in range(16):
        up = height * abs(math.sin(i * math.pi / 8))
        source = (rows + round(up)).clamp(max=GRID - 1)
        flow[i, 1] = torch.where(small[source, columns] > 0.5, up, 0.0)
    return flow


# --- camera ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MOVES)
def test_a_camera_sees_the_picture_where_its_move_says(name: str) -> None:
    """Also between the flow's frames and beyond them."""
    scene = Scene.of(PICTURE, exact_flow(MOVES[name], GRID, GRID), {}, WHOLE, [0, 0.5, 7.25, 15, 18])
    assert scene.window.whole == (name == "zoom in") and not scene.bends_ground
    for i, time in enumerate(scene.times):
        frame = scene.frame(i).pixels
        assert frame.shape == (*SIZE, 3) and frame.dtype == torch.float32
        np.testing.assert_allclose(frame, expected(MOVES[name], time, scene), atol=0.02)


@pytest.mark.parametrize("name", MOVES)
def test_nothing_from_the_edge_of_the_picture_is_seen_through_a_window(name: str) -> None:
    marked = PICTURE.clone()
    marked[[0, -1]] = marked[:, [0, -1]] = torch.tensor([1.0, 0.0, 1.0])
    flow = exact_flow(MOVES[name], GRID, GRID)
    for times in (TIMES, TIMES / 3):
        scenes = [Scene.of(picture, flow, {}, WHOLE, times) for picture in (PICTURE, marked)]
        if not scenes[0].window.whole:
            for frame, same in zip(*scenes, strict=True):
                assert torch.equal(frame.pixels, same.pixels)


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("edges", ["inside", "mirror"])
def test_frame_1_is_the_fitted_picture_or_a_part_of_it(name: str, edges: Any) -> None:
    scene = Scene.of(PICTURE, exact_flow(MOVES[name], GRID, GRID), {}, WHOLE, TIMES, edges)
    first = scene.frame(0).pixels
    if scene.window.whole:
        assert torch.equal(first, PICTURE)
    else:
        assert edges == "inside"
        np.testing.assert_allclose(first, expected(MOVES[name], 0, scene), atol=0.02)


def test_a_mirror_shows_all_of_the_view_and_what_of_the_picture_is_still_there() -> None:
    move = CameraMove(pan=(-0.3, 0.0))
    scene = Scene.of(PICTURE, exact_flow(move, GRID, GRID), {}, WHOLE, TIMES, "mirror")
    frame, beyond = scene.frame(15).pixels, math.ceil(0.3 * 15 * 72 / GRID)
    np.testing.assert_allclose(frame[:, beyond + 2 :], expected(move, 15, scene)[:, beyond + 2 :], atol=0.02)
    mirrored = frame[:, :beyond].flip(1) - frame[:, beyond : 2 * beyond]
    assert mirrored.abs().mean() < 0.06 and frame[:, :beyond].std() < frame[:, beyond : 2 * beyond].std()


@pytest.mark.parametrize("size", [(48, 72), (30, 46), (96, 144)], ids=str)
@pytest.mark.parametrize("name", ["pan", "zoom in"])
def test_a_view_of_a_part_sees_what_was_cut_off(size: tuple[int, int], name: str) -> None:
    """The middle of a larger picture, at its own size, smaller and larger: all that the camera reaches is real."""
    picture, view = wavy_picture(88, 132), View(size, (20, 30, 48, 72))
    for edges in ("inside", "mirror"):
        scene = Scene.of(picture, exact_flow(MOVES[name], GRID, GRID), {}, view, TIMES, edges)
        assert scene.window.whole
        assert torch.equal(scene.frame(0).pixels, scale_picture(picture[20:68, 30:102], size))
        for i in (5, 15):
            np.testing.assert_allclose(scene.frame(i).pixels, expected(MOVES[name], i, scene), atol=0.03)


@pytest.mark.parametrize("whole", [(60, 72), (48, 100), (61, 173)], ids=str)
def test_frame_1_of_a_centred_crop_is_that_of_fit_picture(whole: tuple[int, int]) -> None:
    picture = torch.rand(*whole, 3)
    height, width = min(whole[0], round(whole[1] * 48 / 72)), min(whole[1], round(whole[0] * 72 / 48))
    view = View(SIZE, ((whole[0] - height) // 2, (whole[1] - width) // 2, height, width))
    scene = Scene.of(picture, exact_flow(MOVES["zoom in"], GRID, GRID), {}, view, TIMES)
    assert torch.equal(scene.frame(0).pixels, fit_picture(picture, SIZE)[0])


def test_a_picture_of_fine_stripes_shows_no_others_when_it_is_shrunk() -> None:
    stripes = (torch.arange(8 * 72) // 2 % 2).float()[None, :, None].expand(8 * 48, -1, 3)
    for edges in ("inside", "mirror"):
        scene = Scene.of(stripes, exact_flow(MOVES["pan"], GRID, GRID), {}, View(SIZE, (0, 0, 384, 576)), TIMES, edges)
        assert all((scene.frame(i).pixels - 0.5).abs().max() < 0.15 for i in (3, 9))


def test_a_loop_closes() -> None:
    times = flow_times(Timing(fps=5, loop=True), 16, 8)
    frames = [frame.pixels for frame in Scene.of(PICTURE, exact_flow(MOVES["all"], GRID, GRID), {}, WHOLE, times)]
    assert len(frames) == len(times) == 20
    assert all(torch.equal(frames[i], frames[-i]) for i in range(1, 10))
    steps = [(a - b).abs().mean() for a, b in zip(frames, [*frames[1:], frames[0]], strict=True)]
    assert max(steps) < 2 * min(steps)


@pytest.mark.parametrize("time", [40, 200])
def test_a_mirror_shows_the_picture_from_afar(time: int) -> None:
    """However far: e^4 times smaller all that is left of it is its mean."""
    scene = Scene.of(PICTURE, exact_flow(MOVES["zoom out"], GRID, GRID), {}, WHOLE, [0, time], "mirror")
    frame, scale = scene.frame(1).pixels, math.exp(0.02 * time)
    half = [max(1, round(side / scale / 2)) for side in SIZE]
    middle = frame[24 - half[0] : 24 + half[0], 36 - half[1] : 36 + half[1]]
    small = scale_picture(PICTURE, (2 * half[0], 2 * half[1]))
    assert (middle - small).abs().mean() < 0.06 and torch.isfinite(frame).all()


# --- subjects --------------------------------------------------------------------------------------------------------


def test_the_ground_stays_as_it_is_to_the_last_bit() -> None:
    mask = disc(36, 30, 7)
    scene = Scene.of(PICTURE, jumping(mask), {"it": mask}, WHOLE, TIMES / 2)
    assert scene.window.whole and not scene.bends_ground
    rows, columns = np.nonzero(mask.numpy())
    reach = np.s_[max(0, rows.min() - 14) : rows.max() + 6, columns.min() - 6 : columns.max() + 7]
    for frame in scene:
        away = torch.ones(SIZE, dtype=torch.bool)
        away[reach] = False
        assert torch.equal(frame.pixels[away], PICTURE[away]) and away.float().mean() > 0.6
    assert torch.equal(scene.frame(0).pixels, PICTURE) and torch.equal(scene.frame(0).masks["it"], mask)


def test_a_subject_is_where_its_flow_says_and_so_is_its_mask() -> None:
    mask = disc(36, 30, 7)
    red = torch.where(mask[..., None] > 0, torch.tensor([1.0, 0.0, 0.0]), 0.3 * PICTURE)
    frame = Scene.of(red, jumping(mask), {"it": mask}, WHOLE, TIMES).frame(4)
    there = disc(36, 30 - 4 * 48 / GRID, 7)
    for found in (frame.masks["it"], (frame.pixels[..., 0] - frame.pixels[..., 1]).clamp(0, 1)):
        assert (found[there > 0]).mean() > 0.9 and found[there == 0].mean() < 0.03


def test_a_subject_on_a_moving_ground_keeps_its_place_on_it() -> None:
    """Through a window, too: what rests on the ground moves as the ground does, so that it needs no layer."""
    mask, move = disc(30, 24, 8), MOVES["roll"]
    flow = exact_flow(move, GRID, GRID)
    with_mask, without = (Scene.of(PICTURE, flow, masks, WHOLE, TIMES) for masks in ({"it": mask}, {}))
    for i in (0, 6, 15):
        torch.testing.assert_close(with_mask.frame(i).pixels, without.frame(i).pixels, atol=1e-3, rtol=0)
    seen = with_mask.frame(15).masks["it"]
    white = mask[..., None].expand(-1, -1, 3)
    np.testing.assert_allclose(seen, Scene.of(white, flow, {}, WHOLE, TIMES).frame(15).pixels[..., 0], atol=1e-3)


def test_the_last_subject_is_in_front() -> None:
    masks = {"left": disc(26, 30, 8), "right": disc(44, 30, 8)}
    flow = torch.zeros(16, 2, GRID, GRID)
    flow[:, 0, :, :12] = -torch.linspace(0, 3, 16)[:, None, None]
    flow[:, 0, :, 12:] = torch.linspace(0, 3, 16)[:, None, None]
    shares = []
    for order in (("left", "right"), ("right", "left")):
        frame = Scene.of(PICTURE, flow, {name: masks[name] for name in order}, WHOLE, TIMES).frame(15)
        assert list(frame.masks) == list(order)
        assert (frame.masks["left"] + frame.masks["right"]).max() < 1.05
        shares.append(float(frame.masks[order[1]].sum() / frame.masks[order[0]].sum()))
    assert min(shares) > 1.5


@pytest.mark.parametrize("order", [("mover", "rester"), ("rester", "mover")], ids=str)
@pytest.mark.parametrize("pan", [0.0, -0.1])
def test_the_order_is_depth_also_where_one_of_them_rests(order: tuple[str, str], pan: float) -> None:
    """A red one slides over or behind a green one, by a pixel of the clip a frame."""
    masks = {"mover": disc(16, 24, 7), "rester": disc(40, 24, 9)}
    colours = {"mover": torch.tensor([1.0, 0.0, 0.0]), "rester": torch.tensor([0.0, 1.0, 0.0])}
    picture = 0.3 * PICTURE
    for name, mask in masks.items():
        picture = torch.where(mask[..., None] > 0, colours[name], picture)
    flow = exact_flow(CameraMove(pan=(pan, 0.0)), GRID, GRID)
    columns = torch.arange(GRID)[None, :]
    rows = torch.arange(GRID)[:, None]
    for i in range(16):
        x, y = columns * 3 + 1 + 3 * flow[i, 0], rows * 2 + 0.5
        flow[i, 0] -= (((x - 16 - 1.5 * i) / 7) ** 2 + ((y - 24) / 7) ** 2 < 1) * 0.5 * i
    scene = Scene.of(picture, flow, {name: masks[name] for name in order}, WHOLE, TIMES, "mirror")
    frame, shift = scene.frame(15), round(3 * 15 * pan)
    front, behind = order[1], order[0]
    # Both discs hold these pixels: the one has come from 16 to 38, the other is at 40.
    both = np.s_[21:28, 36 - shift : 41 - shift]
    np.testing.assert_allclose(frame.pixels[both], colours[front].expand(7, 5, 3), atol=0.05)
    assert frame.masks[front][both].min() > 0.95 and frame.masks[behind][both].max() < 0.05
    assert (frame.masks[front] + frame.masks[behind]).max() < 1.1
    if not pan:
        away = np.s_[:, 54:]
        assert torch.equal(frame.pixels[away], picture[away])


def test_what_rests_in_front_is_the_picture_where_nothing_passes() -> None:
    mover, rester = disc(14, 30, 6), disc(56, 30, 9)
    scene = Scene.of(PICTURE, jumping(mover), {"mover": mover, "rester": rester}, WHOLE, TIMES)
    for frame in scene:
        assert torch.equal(frame.pixels[:, 36:], PICTURE[:, 36:])
        np.testing.assert_allclose(frame.masks["rester"], rester, atol=1e-6)


def test_the_mirror_image_of_a_subject_at_the_edge_stays_with_it() -> None:
    """Half of it is in the picture: the camera looks beyond that edge while it jumps off."""
    mask = torch.zeros(SIZE)
    mask[14:40, :12] = 1
    red = torch.tensor([1.0, 0.0, 0.0])
    picture = torch.where(mask[..., None] > 0, red, 0.3 * PICTURE)
    flow = exact_flow(CameraMove(pan=(-0.25, 0.0)), GRID, GRID)
    for i in range(16):
        x = torch.arange(GRID)[None, :] + flow[i, 0]
        y = torch.arange(GRID)[:, None] + 0.1 * i
        flow[i, 1] += ((x < 4) & (y > 7) & (y < 20)) * 0.1 * i
    scene = Scene.of(picture, flow, {"it": mask}, WHOLE, TIMES, "mirror")
    for i in (4, 9, 15):
        # What came into view, where the subject is after its jump of 0.2 pixels of the clip a frame.
        strip = np.s_[20:32, : round(0.75 * i) + 8]
        assert scene.frame(i).masks["it"][strip].min() > 0.95
        np.testing.assert_allclose(scene.frame(i).pixels[strip], red.expand_as(scene.frame(i).pixels[strip]), atol=0.06)


@pytest.mark.parametrize("mask", [torch.zeros(SIZE), torch.ones(SIZE), 0.4 * torch.ones(SIZE)], ids=["0", "1", "0.4"])
def test_a_mask_of_nothing_or_of_all_makes_no_layer(mask: torch.Tensor) -> None:
    flow = exact_flow(MOVES["pan"], GRID, GRID)
    scenes = [Scene.of(PICTURE, flow, masks, WHOLE, TIMES) for masks in ({}, {"it": mask})]
    assert torch.equal(scenes[0].frame(9).pixels, scenes[1].frame(9).pixels)
    np.testing.assert_allclose(scenes[1].frame(9).masks["it"], mask, atol=1e-6)


def test_a_subject_that_the_edge_cuts_goes_on_beyond_it() -> None:
    """It stands on the lower edge and jumps: below it there is no hole."""
    red, mask = torch.tensor([1.0, 0.0, 0.0]), torch.zeros(SIZE)
    mask[30:, 28:44] = 1
    picture = torch.where(mask[..., None] > 0, red, 0.3 * PICTURE)
    frame = Scene.of(picture, jumping(mask), {"it": mask}, WHOLE, TIMES).frame(4)
    np.testing.assert_allclose(frame.pixels[-4:, 31:41], red.expand(4, 10, 3), atol=0.02)


def test_a_subject_without_a_mask_bends_the_ground() -> None:
    mask = disc(36, 26, 14)
    scene = Scene.of(PICTURE, jumping(mask, 5.0), {}, WHOLE, TIMES)
    assert scene.bends_ground and scene.window.whole
    moved = (scene.frame(4).pixels - PICTURE).abs().mean(-1)
    assert moved[14:22, 30:42].mean() > 4 * moved[:, :10].mean()


# --- ends of what can be asked for -----------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_short_flows(frames: int) -> None:
    flow = exact_flow(MOVES["pan"], GRID, GRID, frames)
    scene = Scene.of(PICTURE, flow, {"it": disc(36, 30, 7)}, WHOLE, [0, 0.5, frames - 1, 4 * frames])
    assert all(torch.isfinite(frame.pixels).all() for frame in scene)
    if frames == 1:
        assert all(torch.equal(frame.pixels, PICTURE) for frame in scene)


def test_what_the_flow_says_of_frame_1_is_not_believed() -> None:
    flow = exact_flow(MOVES["pan"], GRID, GRID)
    wrong = flow.clone()
    wrong[0] = 7 * torch.randn_like(flow[0])
    pixels = [Scene.of(PICTURE, f, {}, WHOLE, TIMES).frame(8).pixels for f in (flow, wrong)]
    assert torch.equal(*pixels)


def test_frames_are_the_callers_to_change() -> None:
    picture = PICTURE.clone()
    scene = Scene.of(picture, STILL, {}, WHOLE, TIMES)
    for i in (0, 5):
        scene.frame(i).pixels.zero_()
        assert torch.equal(scene.frame(i).pixels, PICTURE)
    assert torch.equal(picture, PICTURE) and scene.size == SIZE and len(scene) == 16


GOOD: dict[str, Any] = {
    "picture": PICTURE,
    "flow": STILL,
    "masks": {},
    "view": WHOLE,
    "times": TIMES,
    "edges": "inside",
}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"picture": torch.rand(3, 8, 8)}, "picture"),
        ({"flow": torch.zeros(16, GRID, GRID, 2)}, "flow"),
        ({"flow": torch.full((16, 2, GRID, GRID), math.nan)}, "flow .* holds NaN or infinite numbers"),
        ({"masks": {"dog": torch.zeros(8, 8)}}, "mask of dog.*72×48"),
        ({"view": View(SIZE, (1, 0, *SIZE))}, "box"),
        ({"times": []}, "times"),
        ({"times": [0, -1]}, "times"),
        ({"times": [math.nan]}, "times"),
        ({"edges": "torn"}, "'torn'.*inside, mirror"),
        ({"flow": exact_flow(CameraMove(zoom=-0.12), GRID, GRID)}, "leaves the picture"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_what_does_not_fit_together_is_refused(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(MIVAError, match=words):
        Scene.of(**(GOOD | wrong))
