"""Motions of the whole frame against the camera's own maps and the written formulas."""

import pytest
import torch
import torch.nn.functional as F
from slow_fields import PARALLAX

from miva_core.clips.camera import CAMERA_MOTIONS, UNIT_MOVES, apply_affine, move_transforms, pixel_grid
from miva_core.motion_fields.displacements import displacement
from miva_core.motion_fields.region_frame import RegionFrame
from miva_core.motion_fields.shake import shake_path
from miva_core.motion_fields.whole_frame import DEPTH_MOVES, camera_map, depth_map, parallax

TIMES = torch.arange(16, dtype=torch.float64)


@pytest.mark.parametrize("name", [name.replace("-", "_") for name in CAMERA_MOTIONS])
def test_cameras_are_those_of_training_clips(name: str) -> None:
    maps = camera_map(name, 0.6, TIMES)
    torch.testing.assert_close(maps, move_transforms(UNIT_MOVES[name], 0.6, 16)[0].double(), rtol=1e-6, atol=1e-5)
    between = camera_map(name, 0.6, torch.tensor([2.25]))
    torch.testing.assert_close(between, camera_map(name, 0.15, torch.tensor([9.0])))


@pytest.mark.parametrize("name", DEPTH_MOVES)
def test_depth_moves_are_the_written_formula(name: str) -> None:
    places, times = pixel_grid(5, 7).double() * 8, torch.tensor([0.0, 2.5, 15.0], dtype=torch.float64)
    nearness = torch.rand(3, 5, 7, dtype=torch.float64)
    moved = parallax(name, 0.9, places, times[:, None, None], nearness)
    formula, way = PARALLAX[name]
    slow = [
        [
            [formula(0.9, x, y, t, n, way) for (x, y), n in zip(row, near, strict=True)]
            for row, near in zip(places.tolist(), nears, strict=True)
        ]
        for t, nears in zip(times.tolist(), nearness.tolist(), strict=True)
    ]
    torch.testing.assert_close(moved, torch.tensor(slow, dtype=torch.float64), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", DEPTH_MOVES)
def test_the_map_of_one_nearness_is_its_parallax(name: str) -> None:
    places = pixel_grid(5, 7).double() * 8
    maps = depth_map(name, 0.5, TIMES, 0.35)
    torch.testing.assert_close(
        apply_affine(maps, places), parallax(name, 0.5, places, TIMES[:, None, None], 0.35), rtol=0, atol=1e-9
    )


def test_a_shaken_frame_follows_the_path() -> None:
    maps = camera_map("shake", 0.4, TIMES, seed=3)
    torch.testing.assert_close(maps[:, :, 2], 0.6 * shake_path(TIMES, 3))
    places = pixel_grid(4, 4).double()
    region = RegionFrame(torch.zeros(2), torch.ones(()), torch.ones(()), torch.zeros(()))
    moved = places + displacement("shake", 0.4, places, TIMES[:, None, None], region, seed=3)
    torch.testing.assert_close(apply_affine(maps, places), moved)


def test_the_path_is_smoothed_noise_of_unit_size() -> None:
    seeds = range(40)
    paths = torch.stack([shake_path(TIMES, seed) for seed in seeds])
    assert (paths[:, 0] == 0).all()
    assert ((paths.square().mean((1, 2)).sqrt() - 1).abs() < 1e-9).float().mean() > 0.9
    steps, turns = paths.diff(dim=1), paths.diff(n=2, dim=1)
    # of white noise under the kernel: what a filter of differences leaves of it
    kernel = torch.tensor([[[1.0, 2, 3, 2, 1]]])
    first, second = (F.conv1d(kernel, torch.tensor([[taps]]), padding=2) for taps in ([1.0, -1], [1.0, -2, 1]))
    expected = (second.square().sum() / first.square().sum()).sqrt().item()
    assert (turns.square().mean() / steps.square().mean()).sqrt().item() == pytest.approx(expected, rel=0.15)
    assert not torch.equal(paths[0], paths[1])


def test_the_path_is_continuous_with_its_velocity() -> None:
    fine = shake_path(torch.linspace(0, 20, 20 * 64 + 1, dtype=torch.float64), 5)
    torch.testing.assert_close(fine[::64], shake_path(torch.arange(21, dtype=torch.float64), 5))
    velocity = fine.diff(dim=0) * 64
    assert velocity.diff(dim=0).norm(dim=-1).max() < 0.1 * velocity.norm(dim=-1).max()
