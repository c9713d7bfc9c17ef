"""Measures of clips, against numbers that are known or worked out place by place."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from einops import rearrange
from torch import Tensor

from miva_core.adapters.degree import DegreeRange
from miva_core.errors import MIVAError
from miva_core.filming.motion_clips import film_still
from miva_core.filming.shooting import Shooting
from miva_core.filming.still import Still
from miva_core.measure.clip_motion import measure_motion
from miva_core.measure.evaluation import (
    MEASURES,
    consistency,
    evaluate,
    medians,
    motion_smoothness,
    temporal_flickering,
)


@pytest.fixture
def filmed() -> Callable[..., Tensor]:
    """filmed(motion, speed): seven frames of 64×64 over smooth blobs."""
    small = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(3))
    picture = rearrange(torch.nn.functional.interpolate(small, (192, 192), mode="bicubic"), "1 c h w -> h w c")

    def film(motion: str, speed: float = 1.0) -> Tensor:
        shooting = Shooting(motion, (64, 64), 7, speed)
        clip = film_still(Still("blobs", picture.clamp(0, 1)), shooting, torch.Generator().manual_seed(1))
        return rearrange(clip.frames, "f c h w -> f h w c")

    return film


def measured(frames: Tensor, mask: Tensor | None = None, **more: Any) -> dict[str, float]:
    return evaluate(frames, frames[0], measure_motion(frames, mask), **more)


@pytest.mark.parametrize(
    ("motion", "key", "value"),
    [
        ("pan-left", "right", 1.0),
        ("pan-right", "right", -1.0),
        ("pan-up", "down", 1.0),
        ("pan-down", "down", -1.0),
        ("zoom-in", "growth", 100 * (math.exp(0.024) - 1)),
        ("zoom-out", "growth", 100 * (math.exp(-0.024) - 1)),
    ],
)
def test_motions_have_their_speed_and_direction(motion: str, key: str, value: float, filmed: Callable) -> None:
    frames = filmed(motion)
    values = measured(frames)
    assert values[key] == pytest.approx(value, rel=0.15, abs=0.02)
    if motion.startswith("pan"):
        assert values["speed"] == pytest.approx(1, rel=0.15)
        direction = {"pan-left": 0, "pan-right": 180, "pan-up": 90, "pan-down": 270}[motion]
        assert abs((values["direction"] - direction + 180) % 360 - 180) < 5
    assert set(values) == set(MEASURES) - {"subject_consistency", "background_consistency"}


def test_a_still_clip_is_perfectly_still(filmed: Callable) -> None:
    frames = filmed("pan-left")[:1].expand(5, -1, -1, -1)
    values = measured(frames)
    assert values["speed"] == values["dynamic_degree"] == values["bucket"] == 0
    assert values["smoothness"] == pytest.approx(100, abs=0.02) and values["flickering"] == 100
    assert values["dynamics"] == pytest.approx(0, abs=1e-6) and values["fidelity"] == math.inf


def test_flickering_is_the_mean_difference_of_neighbours() -> None:
    frames = torch.zeros(4, 3, 5, 3)
    frames[1, 0, 0] = 1  # 3 of 45 values, there and back, in two of three pairs
    assert temporal_flickering(frames) == pytest.approx(100 * (1 - 2 * 3 / 45 / 3))


def test_an_even_motion_is_smoother_than_one_that_stutters(filmed: Callable) -> None:
    frames = filmed("pan-left", 2.0)
    stuttering = frames[[0, 0, 2, 2, 4, 4, 6]]
    assert motion_smoothness(frames) > 99
    assert motion_smoothness(frames) > motion_smoothness(stuttering) + 0.5


def test_interpolation_follows_the_motion(filmed: Callable) -> None:
    """The mean of two frames would blur what moves."""
    frames = filmed("pan-left", 3.0)
    mixed = 100 * (1 - ((frames[0:-2:2] + frames[2::2]) / 2 - frames[1:-1:2]).abs().mean().item())
    assert motion_smoothness(frames) > mixed + 1


def test_the_fastest_places_make_the_dynamic_degree(filmed: Callable) -> None:
    frames = filmed("pan-left")
    moving = frames[:1].expand(7, -1, -1, -1).clone()
    moving[:, 20:44, 20:44] = filmed("pan-left", 3.0)[:, 20:44, 20:44]
    values = measured(moving)
    assert values["speed"] < 1.5 < 2 < values["dynamic_degree"] < 4


def test_consistency_compares_with_the_frame_before_and_the_first() -> None:
    angles = torch.tensor([0.0, 30.0, 60.0]).deg2rad()
    features = torch.stack([angles.cos(), angles.sin()], dim=1) * torch.tensor([[1.0], [5.0], [2.0]])
    near, far = [math.cos(math.radians(30))] * 2, [math.cos(math.radians(30)), math.cos(math.radians(60))]
    assert consistency(features) == pytest.approx(100 * sum(near + far) / 4)
    opposite = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert consistency(opposite) == 0


def test_features_add_their_columns_and_masks_limit_the_flow(filmed: Callable) -> None:
    frames = filmed("pan-left")[:1].expand(7, -1, -1, -1).clone()
    frames[:, 16:48, 16:48] = filmed("pan-right", 2.0)[:, 16:48, 16:48]
    mask = torch.zeros(7, 64, 64)
    mask[:, 24:40, 24:40] = 1
    values = measured(frames, mask, dino=lambda f: f.flatten(1), clip=lambda f: f.mean((1, 2)))
    assert values["right"] == pytest.approx(-2, abs=0.4) and abs(measured(frames)["right"]) < 0.3
    assert 0 < values["subject_consistency"] < 100 and 99 < values["background_consistency"] <= 100


def test_medians_are_taken_of_each_measure_and_directions_of_the_flow() -> None:
    rows = [{"right": 1.0, "down": down, "direction": d} for down, d in ((-0.1, 354.3), (0.1, 5.7), (0.0, 0.0))]
    assert medians(rows) == {"right": 1.0, "down": 0.0, "direction": 0.0}
    assert medians(rows[:2]) == {"right": 1.0, "down": 0.0, "direction": 0.0}  # of two, the middle between


def test_an_adapter_that_knows_degrees_has_buckets_of_its_own(filmed: Callable) -> None:
    frames, edges = filmed("pan-left"), tuple(0.1 * k for k in range(1, 20))
    by_flow = DegreeRange("flow", edges, tuple(0.1 * k for k in range(20)), 0.5)
    by_likeness = replace(by_flow, measure="ms-ssim", edges=tuple(edge / 100 for edge in edges))
    values = measured(frames, degree=by_flow)
    assert values["bucket"] == pytest.approx(values["speed"] / 0.1, abs=1) and 8 <= values["bucket"] <= 11
    assert measured(frames, degree=by_likeness)["bucket"] == min(19, int(values["dynamics"] / 0.001))


def test_a_clip_of_two_frames_is_too_short() -> None:
    with pytest.raises(MIVAError, match="2 frames"):
        measured(torch.full((2, 32, 32, 3), 0.5))
