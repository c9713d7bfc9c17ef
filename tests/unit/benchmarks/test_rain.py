"""What `benchmarks.rain` measures: rain that falls, and nothing else that moves."""

import pytest
import torch
from einops import rearrange
from torch import Tensor

from benchmarks.rain import FALL, falling, rain


@pytest.fixture
def clip() -> Tensor:
    return rearrange(rain(torch.full((3, 64, 64), 0.3), 16, torch.Generator().manual_seed(0)), "f c h w -> f h w c")


def test_a_drop_is_found_again_lower_by_what_it_falls(clip: Tensor) -> None:
    moves = [(clip[:-1, : 64 - n] - clip[1:, n:]).square().mean() for n in range(2 * FALL)]
    assert int(torch.stack(moves).argmin()) == FALL


def test_what_stands_still_does_not_fall(clip: Tensor) -> None:
    assert falling(clip[:1].expand(16, -1, -1, -1)) == 0


def test_what_rises_does_not_fall(clip: Tensor) -> None:
    assert falling(clip) > 0
    assert falling(clip.flip(0)) == 0


def test_what_flickers_falls_far_less(clip: Tensor) -> None:
    order = torch.randperm(16, generator=torch.Generator().manual_seed(1))
    assert falling(clip[order]) < 0.5 * falling(clip)


def test_half_as_strong_rain_counts_half(clip: Tensor) -> None:
    assert falling(0.3 + 0.5 * (clip - 0.3)) == pytest.approx(0.5 * falling(clip), rel=1e-4)
