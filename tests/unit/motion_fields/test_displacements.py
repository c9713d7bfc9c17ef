"""Motions of parts of the picture against their formulas as written, for one place at a time."""

import pytest
import torch
from slow_fields import Region, displaced

from miva_core.clips.camera import pixel_grid
from miva_core.motion_fields.displacements import displacement
from miva_core.motion_fields.motions import MOTIONS
from miva_core.motion_fields.region_frame import RegionFrame

REGION = Region(x=-7.5, y=4.25, radius=11.0, foot=19.0, top=-12.0)
FRAME = RegionFrame(torch.tensor([REGION.x, REGION.y]), *map(torch.tensor, (REGION.radius, REGION.foot, REGION.top)))
PARTS = [name for name, motion in MOTIONS.items() if motion.kind in ("region", "carried")]
CLOSED = [name for name in PARTS if MOTIONS[name].period]
TIMES = (0.0, 1.0, 4.5, 8.0, 13.7, 15.0, 39.25)


@pytest.mark.parametrize("name", PARTS)
def test_the_field_is_the_written_formula(name: str) -> None:
    places = pixel_grid(12, 16) * 5.5
    fields = displacement(name, 0.7, places.expand(len(TIMES), -1, -1, -1), torch.tensor(TIMES)[:, None, None], FRAME)
    slow = [
        [[displaced(name, 0.7, x, y, t, REGION) for x, y in row] for row in places.double().tolist()] for t in TIMES
    ]
    torch.testing.assert_close(fields.double(), torch.tensor(slow, dtype=torch.float64), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", [*PARTS, "shake"])
def test_it_starts_at_rest_and_is_linear_in_the_speed(name: str) -> None:
    places = pixel_grid(3, 4).double() * 9
    assert displacement(name, 0.8, places, 0.0, FRAME).abs().max() == 0
    one, three = (displacement(name, speed, places, 5.3, FRAME) for speed in (1.0, 3.0))
    assert one.abs().max() > 0.3 and one.shape == places.shape
    torch.testing.assert_close(three, 3 * one)


@pytest.mark.parametrize("name", CLOSED)
def test_it_closes_after_its_period(name: str) -> None:
    places, period = pixel_grid(6, 8).double() * 7, MOTIONS[name].period
    assert period is not None
    for t in (0.0, 2.6):
        at, after = (displacement(name, 0.5, places, t + k * period, FRAME) for k in (0, 3))
        torch.testing.assert_close(after, at, rtol=0, atol=1e-9)
    half = displacement(name, 0.5, places, period / 4, FRAME)
    assert half.abs().max() > 0.5, "it must have left in between"


def test_speeds_and_regions_of_a_batch() -> None:
    places = pixel_grid(5, 6).double() * 6
    frames = RegionFrame.of(torch.rand(3, 64, 64, dtype=torch.float64))
    batch = RegionFrame(
        frames.centre[:, None, None], *(v[:, None, None] for v in (frames.radius, frames.foot, frames.top))
    )
    speeds, times = torch.tensor([0.2, 0.5, 1.0])[:, None, None], torch.tensor([1.0, 2.0, 3.0])[:, None, None]
    for name in ("breathe", "sway", "jump", "drift_up"):
        together = displacement(name, speeds, places, times, batch)
        for i in range(3):
            one = RegionFrame(frames.centre[i], frames.radius[i], frames.foot[i], frames.top[i])
            alone = displacement(name, speeds[i].item(), places, times[i].item(), one)
            torch.testing.assert_close(together[i], alone)
