"""What the likeness of frames says of moving clips."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from miva_core.measure.dynamics import dynamics
from miva_core.measure.ms_ssim import ms_ssim


def panned(speed: int, frames: int = 6, side: int = 96) -> Tensor:
    small = torch.rand(1, 3, 8, 20, generator=torch.Generator().manual_seed(0))
    wide = torch.nn.functional.interpolate(small, (side, 5 * side // 2), mode="bicubic").clamp(0, 1)[0]
    return torch.stack([wide[:, :, speed * i : speed * i + side] for i in range(frames)]).permute(0, 2, 3, 1)


def test_faster_pans_have_more_dynamics() -> None:
    found = [dynamics(panned(speed)) for speed in (0, 1, 2, 4, 6)]
    assert found[0] == pytest.approx(0, abs=1e-6) and all(a < b for a, b in pairwise(found))


def test_it_is_the_mean_over_neighbours_that_follow_each_other() -> None:
    frames = panned(3, frames=4)
    planes = frames.permute(0, 3, 1, 2).double()
    likeness = ms_ssim(planes[:-1], planes[1:])
    assert dynamics(frames) == pytest.approx(1 - likeness.mean().item(), abs=1e-5)
    assert dynamics(frames, without=(3,)) == pytest.approx(1 - likeness[[0, 2]].mean().item(), abs=1e-5)


def test_a_large_clip_is_compared_at_a_smaller_size() -> None:
    frames = panned(4, frames=3, side=64)
    large = frames.repeat_interleave(12, 1).repeat_interleave(12, 2)
    halved = large.unflatten(1, (384, 2)).unflatten(3, (384, 2)).mean((2, 4))
    assert dynamics(large) == pytest.approx(dynamics(halved), abs=1e-5)
