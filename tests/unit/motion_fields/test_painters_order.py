"""What is seen of a scene in depth, against marching over its nearness in small steps."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from miva_core.clips.camera import pixel_grid
from miva_core.motion_fields.painters_order import at_places, shown_nearness
from miva_core.motion_fields.whole_frame import parallax

SIZE = (64, 64)
MOVES = [("truck_left", 0.8, 15.0), ("dolly_in", 1.0, 15.0), ("dolly_out", 0.7, 9.0)]


def ground(near: float = 0.8) -> Tensor:
    """A slope up to `near` at the foot of the picture."""
    y = pixel_grid(*SIZE)[..., 1]
    return near * ((y + 20) / 50).clamp(0, 1) ** 1.3


def with_fronts() -> Tensor:
    """Two things before the ground, with hard edges."""
    grid = pixel_grid(*SIZE)
    scene = torch.where((grid - torch.tensor([-12.0, 2.0])).norm(dim=-1) < 10, 0.6, ground())
    return torch.where((grid - torch.tensor([9.0, 6.0])).abs().amax(-1) < 8, 0.93, scene)


def marched(nearness: Tensor, name: str, speed: float, time: float, steps: int = 1000) -> Tensor:
    """From near to far, the first nearness for which the scene is as near."""
    places = pixel_grid(*SIZE)
    shown = torch.zeros(SIZE)
    for k in range(steps + 1):
        n = k / steps
        there = at_places(nearness, parallax(name, speed, places, time, n), SIZE)
        shown = torch.where(there >= n, n, shown)
    return shown


def _error(shown: Tensor, truth: Tensor, name: str, speed: float, time: float) -> float:
    """By how much places are off, relative to how far they have gone."""
    places = pixel_grid(*SIZE)
    moved, true = (parallax(name, speed, places, time, n) for n in (shown, truth))
    return ((moved - true).norm(dim=-1).mean() / (true - places).norm(dim=-1).mean()).item()


@pytest.mark.parametrize(("name", "speed", "time"), MOVES)
@pytest.mark.parametrize(("scene", "most"), [(ground, 0.002), (with_fronts, 0.015)])
def test_it_is_what_marching_finds(
    scene: Callable[[], Tensor], most: float, name: str, speed: float, time: float
) -> None:
    nearness, places = scene(), pixel_grid(*SIZE)
    shown, finely = (
        shown_nearness(nearness, lambda n: parallax(name, speed, places, time, n), SIZE, levels) for levels in (8, 32)
    )
    truth = marched(nearness, name, speed, time)
    assert _error(shown, truth, name, speed, time) < most
    assert _error(finely, truth, name, speed, time) < most / 2


def test_a_batch_over_times_is_each_clip_and_frame_for_itself() -> None:
    scenes, times = torch.stack([ground(), with_fronts(), ground(0.4)]), torch.tensor([3.0, 11.0])
    speeds, places = torch.tensor([0.3, 0.6, 1.0]), pixel_grid(*SIZE)
    together = shown_nearness(
        scenes,
        lambda n: parallax("dolly_in", speeds[:, None, None, None], places, times[:, None, None], n),
        SIZE,
    )
    assert together.shape == (3, 2, *SIZE)
    for clip in range(3):
        for frame in range(2):
            speed, time = speeds[clip].item(), times[frame].item()
            seen = partial(parallax, "dolly_in", speed, places, time)
            alone = shown_nearness(scenes[clip], seen, SIZE)
            torch.testing.assert_close(together[clip, frame], alone, rtol=0, atol=1e-5)


def test_a_flat_scene_has_one_nearness() -> None:
    for level in (0.0, 0.3, 1.0):
        nearness = torch.full(SIZE, level)
        shown = shown_nearness(nearness, lambda n: parallax("dolly_in", 1.0, pixel_grid(*SIZE), 9.0, n), SIZE)
        torch.testing.assert_close(shown, nearness)
