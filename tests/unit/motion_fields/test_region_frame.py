"""Frames of regions against the closed forms of drawn shapes."""

import math

import pytest
import torch

from miva_core.clips.camera import pixel_grid
from miva_core.motion_fields.region_frame import RegionFrame


def ellipse(x: float, y: float, a: float, b: float, soft: float, unit: float) -> torch.Tensor:
    """Anti-aliased where soft is 1 pixel, (120, 160)."""
    off = (pixel_grid(120, 160).double() / unit - torch.tensor([x, y])) / torch.tensor([a, b])
    distance = (1 - off.norm(dim=-1)) * min(a, b) * unit
    return (distance / soft + 0.5).clamp(0, 1)


@pytest.mark.parametrize("soft", [1.0, 6.0])
@pytest.mark.parametrize("unit", [1.0, 1.875])
def test_of_an_ellipse(soft: float, unit: float) -> None:
    frame = RegionFrame.of(ellipse(7.0, -3.0, 9.0, 16.0, soft, unit), unit)
    assert frame.centre.tolist() == pytest.approx([7.0, -3.0], abs=0.02)
    assert frame.radius.item() == pytest.approx(math.sqrt(9 * 16), rel=0.02)
    assert frame.foot.item() == pytest.approx(13.0, abs=0.3)
    assert frame.top.item() == pytest.approx(-19.0, abs=0.3)


def test_of_a_rectangle() -> None:
    mask = torch.zeros(60, 90)
    mask[10:40, 30:80] = 1
    frame = RegionFrame.of(mask)
    assert frame.centre.tolist() == pytest.approx([10.0, -5.0], abs=1e-4)
    assert frame.radius.item() == pytest.approx(math.sqrt(30 * 50 / math.pi), rel=1e-5)
    assert (frame.top.item(), frame.foot.item()) == pytest.approx((-20.0, 10.0), abs=1e-4)


def test_it_ends_where_the_picture_ends() -> None:
    frame = RegionFrame.of(torch.ones(40, 60, dtype=torch.float64), 2.0)
    assert (frame.top.item(), frame.foot.item()) == pytest.approx((-10.0, 10.0))


def test_a_stray_pixel_is_no_top() -> None:
    mask = torch.zeros(100, 100)
    mask[60:90, 40:60] = 1
    clean = RegionFrame.of(mask)
    mask[2, 3] = 1
    assert RegionFrame.of(mask).top.item() > -30
    assert clean.top.item() == pytest.approx(10.0)


def test_a_batch_is_measured_each_for_itself_and_an_empty_mask_is_finite() -> None:
    masks = torch.stack([ellipse(3.0, 4.0, 10.0, 7.0, 2.0, 1.0), torch.zeros(120, 160)])
    frames = RegionFrame.of(masks)
    alone = RegionFrame.of(masks[0])
    torch.testing.assert_close(frames.centre[0], alone.centre)
    torch.testing.assert_close(frames.foot[0], alone.foot)
    assert (frames.foot[1] - frames.top[1]).item() == 1
    assert frames.centre[1].tolist() == [0, 0] and frames.radius[1] > 0


def test_it_is_differentiable() -> None:
    mask = ellipse(3.0, 4.0, 10.0, 7.0, 6.0, 1.0).requires_grad_()
    frame = RegionFrame.of(mask)
    for value in (frame.centre.sum(), frame.radius, frame.foot, frame.top):
        (slope,) = torch.autograd.grad(value, mask, retain_graph=True)
        assert slope.isfinite().all() and slope.abs().max() > 0
