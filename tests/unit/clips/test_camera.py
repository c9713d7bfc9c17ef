import math

import numpy as np
import pytest
import torch
from torch import Tensor

from miva_core.clips.camera import (
    UNIT_MOVES,
    CameraMove,
    affine_flow,
    apply_affine,
    camera_transforms,
    compose_affine,
    film,
    invert_affine,
    move_transforms,
    pixel_grid,
)
from miva_core.measure.metrics import clip_flow, expansion, median_flow
from tools.procedural.backdrops import fractal_noise

# What the name of each move promises at unit speed, as a complex velocity, a magnification and a turn per frame.
PROMISES = {
    "still": (0, 1, 0),
    "pan_left": (-1, 1, 0),
    "pan_right": (1, 1, 0),
    "pan_up": (-1j, 1, 0),
    "pan_down": (1j, 1, 0),
    "zoom_in": (0, math.exp(0.024), 0),
    "zoom_out": (0, math.exp(-0.024), 0),
    "roll_cw": (0, 1, math.pi / 120),
    "roll_ccw": (0, 1, -math.pi / 120),
}


def complex_points(points: Tensor) -> Tensor:
    return torch.view_as_complex(points.contiguous())


def random_affines(*shape: int) -> Tensor:
    """float64 maps whose linear part is far from singular."""
    return 0.3 * torch.randn(*shape, 2, 3).double() + torch.eye(2, 3).double()


def coordinates(height: int, width: int) -> Tensor:
    """A picture (1, 3, H, W) whose first two channels are its own centred coordinates."""
    y = torch.arange(height).float()[:, None].expand(height, width) - (height - 1) / 2
    x = torch.arange(width).float()[None].expand(height, width) - (width - 1) / 2
    return torch.stack([x, y, torch.zeros_like(x)])[None]


# --- affine maps -----------------------------------------------------------------------------------------------------


def test_every_move_has_a_promise() -> None:
    assert set(UNIT_MOVES) == set(PROMISES)


@pytest.mark.parametrize("name", PROMISES)
def test_moves_in_the_complex_plane(name: str) -> None:
    """A move is z -> e^(i turn) / magnification z + velocity, each to the power of the frame."""
    velocity, magnification, turn = PROMISES[name]
    speed, points = 0.75, torch.randn(1, 1, 6, 5, 2)
    moved = complex_points(apply_affine(move_transforms(UNIT_MOVES[name], speed, 9), points))
    for i in range(9):
        factor = complex(math.cos(turn * speed * i), math.sin(turn * speed * i)) / magnification ** (speed * i)
        expected = factor * complex_points(points[0, 0]) + velocity * speed * i
        torch.testing.assert_close(moved[0, i], expected, rtol=1e-5, atol=1e-5)


def test_a_batch_of_moves_keeps_its_rows_apart() -> None:
    moves = [CameraMove((0.5, -1.0), 0.01, 0.02), CameraMove((-2.0, 0.0), -0.03, 0.0)]
    pan, zoom, roll = (torch.tensor([getattr(move, name) for move in moves]) for name in ("pan", "zoom", "roll"))
    together = camera_transforms(pan, zoom, roll, 5)
    for row, move in enumerate(moves):
        torch.testing.assert_close(together[row : row + 1], move_transforms(move, 1.0, 5))


def test_the_pixel_grid_is_centred_with_x_first() -> None:
    grid = pixel_grid(4, 3)
    assert grid.shape == (4, 3, 2)
    assert grid[0, 0].tolist() == [-1.0, -1.5] and grid[3, 0].tolist() == [-1.0, 1.5]
    assert grid.sum().item() == 0


def test_composing_is_applying_one_after_the_other() -> None:
    outer, inner, points = random_affines(3, 4), random_affines(3, 4), torch.randn(3, 4, 2, 5, 2).double()
    expected = apply_affine(outer, apply_affine(inner, points))
    torch.testing.assert_close(apply_affine(compose_affine(outer, inner), points), expected)


def test_the_inverse_is_that_of_the_homogeneous_matrix() -> None:
    maps = random_affines(2, 3)
    bottom = torch.tensor([0.0, 0.0, 1.0]).double().expand(2, 3, 1, 3)
    expected = np.linalg.inv(torch.cat([maps, bottom], dim=-2).numpy())[..., :2, :]
    torch.testing.assert_close(invert_affine(maps), torch.from_numpy(expected))


def test_flow_follows_each_pixel_to_the_next_frame() -> None:
    """For every pixel, the place it shows is looked up in the next frame by solving the 2 x 2 system."""
    height, width = 3, 4
    maps = random_affines(2, 3)
    found = affine_flow(maps, height, width)
    assert found.shape == (2, 2, height, width, 2)
    for b in range(2):
        for i in range(2):
            here, there = maps[b, i].numpy(), maps[b, i + 1].numpy()
            for row in range(height):
                for column in range(width):
                    pixel = np.array([column - (width - 1) / 2, row - (height - 1) / 2])
                    place = here[:, :2] @ pixel + here[:, 2]
                    moved = np.linalg.solve(there[:, :2], place - there[:, 2])
                    np.testing.assert_allclose(found[b, i, row, column].numpy(), moved - pixel, atol=1e-9)


# --- filming ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pan", "axis"), [((1.0, 0.0), 1), ((-1.0, 0.0), 1), ((0.0, 1.0), 0), ((0.0, -2.0), 0)])
def test_whole_pans_show_the_picture_shifted_and_start_at_its_centre(pan: tuple[float, float], axis: int) -> None:
    picture = torch.rand(1, 3, 24, 32)
    clip = film(picture, move_transforms(CameraMove(pan=pan), 1.0, 4), 8, 12)
    assert clip.shape == (1, 4, 3, 8, 12)
    for i in range(4):
        top, left = 8 + int(pan[1]) * i, 10 + int(pan[0]) * i
        torch.testing.assert_close(clip[:, i], picture[..., top : top + 8, left : left + 12], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", PROMISES)
def test_a_picture_of_its_own_coordinates_shows_the_transform(name: str) -> None:
    """Bilinear sampling is exact on it, so each frame reads off the places that the camera looks at."""
    maps = move_transforms(UNIT_MOVES[name], 1.0, 5)
    for scale in (1.0, 1.5, torch.tensor([1.5])):
        clip = film(coordinates(64, 80), maps, 16, 24, scale)
        seen = clip[0, :, :2].permute(0, 2, 3, 1)
        expected = apply_affine(maps, pixel_grid(16, 24))[0] * float(scale)
        torch.testing.assert_close(seen, expected, rtol=1e-4, atol=1e-3)


def test_each_clip_has_its_own_scale() -> None:
    maps = move_transforms(UNIT_MOVES["pan_right"], 1.0, 3)
    pictures = torch.rand(2, 3, 32, 32)
    together = film(pictures, maps.expand(2, -1, -1, -1), 8, 8, torch.tensor([1.0, 2.5]))
    for row, scale in enumerate((1.0, 2.5)):
        torch.testing.assert_close(together[row : row + 1], film(pictures[row : row + 1], maps, 8, 8, scale))


def test_beyond_the_edge_the_picture_is_mirrored() -> None:
    picture = torch.rand(1, 3, 8, 8)
    clip = film(picture, move_transforms(CameraMove(pan=(3.0, -2.0)), 1.0, 3), 8, 8)
    mirrored = np.pad(picture[0].numpy(), ((0, 0), (8, 8), (8, 8)), mode="symmetric")
    for i in range(3):
        expected = torch.from_numpy(mirrored[:, 8 - 2 * i : 16 - 2 * i, 8 + 3 * i : 16 + 3 * i])
        torch.testing.assert_close(clip[0, i], expected, rtol=0, atol=1e-5)


# --- directions, seen by an optical flow that knows nothing of cameras -----------------------------------------------


def filmed_flow(name: str, size: int = 96) -> Tensor:
    noise = fractal_noise(3, 192, torch.Generator().manual_seed(1), torch.full((3,), 1.4))
    picture = (0.5 + 0.18 * noise).clamp(0, 1)[None]
    clip = film(picture, move_transforms(UNIT_MOVES[name], 1.0, 4), size, size)
    return clip_flow(clip[0].permute(0, 2, 3, 1))


@pytest.mark.parametrize(
    ("name", "drift"),
    [("pan_left", (1.0, 0.0)), ("pan_right", (-1.0, 0.0)), ("pan_up", (0.0, 1.0)), ("pan_down", (0.0, -1.0))],
)
def test_a_pan_lets_the_scene_drift_the_other_way(name: str, drift: tuple[float, float]) -> None:
    torch.testing.assert_close(median_flow(filmed_flow(name)), torch.tensor(drift), rtol=0, atol=0.15)


@pytest.mark.parametrize(("name", "rate"), [("zoom_in", 0.024), ("zoom_out", -0.024)])
def test_coming_closer_lets_the_scene_grow(name: str, rate: float) -> None:
    assert expansion(filmed_flow(name)) == pytest.approx(rate, rel=0.2)


@pytest.mark.parametrize(("name", "turn"), [("roll_cw", -1), ("roll_ccw", 1)])
def test_a_clockwise_camera_lets_the_scene_turn_counter_clockwise(name: str, turn: int) -> None:
    """Clockwise on the screen, where y points down, is a positive cross product of the offset and the flow."""
    field, offset = filmed_flow(name), pixel_grid(96, 96)
    cross = offset[..., 0] * field[..., 1] - offset[..., 1] * field[..., 0]
    rate = (cross.sum((-2, -1)) / offset.square().sum()).mean().item()
    assert rate == pytest.approx(turn * math.pi / 120, rel=0.2)
