"""At full size a camera and masked subjects are denoised apart, and put together by their flows."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from miva_core import MIVAAdapter, Motion, Progress, RunOptions, Timing, animate, load_base
from miva_core.bases.base import Base
from miva_core.bases.tiny.spec import SHIPPED

OPTIONS = RunOptions(seed=3, timing=Timing(duration=0.25))


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base("tiny")


@pytest.fixture(scope="module")
def picture() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return (
        F.interpolate(torch.rand(1, 3, 12, 12, generator=generator), (64, 64), mode="bicubic")[0]
        .movedim(0, -1)
        .clamp(0, 1)
    )


@pytest.fixture(scope="module")
def motions(base: Base) -> Callable[..., list[Motion]]:
    """motions("pan_left", …, **options): shipped ones; masked ones get the middle of the picture."""
    mask = torch.zeros(64, 64)
    mask[20:44, 20:44] = 1

    def load(*names: str, **options: Any) -> list[Motion]:
        adapters = [MIVAAdapter.load(SHIPPED / f"{name}.safetensors", base.backbone) for name in names]
        return [
            Motion(adapter, mask=mask if adapter.config.mask else None, name=name, **options)
            for name, adapter in zip(names, adapters, strict=True)
        ]

    return load


def bilinear(field: Tensor, x: float, y: float) -> Tensor:
    """A field (2, H, W) at a place inside of it."""
    left, top = math.floor(x), math.floor(y)
    u, v = x - left, y - top
    rows = [(1 - u) * field[:, row, left] + u * field[:, row, left + 1] for row in (top, top + 1)]
    return (1 - v) * rows[0] + v * rows[1]


def test_each_moves_as_it_does_alone(base: Base, picture: Tensor, motions: Callable[..., list[Motion]]) -> None:
    both, ground, subject = (
        animate(base, picture, motions(*names), OPTIONS).flow
        for names in (("pan_left", "jump_masked"), ("pan_left",), ("jump_masked",))
    )
    assert both is not None and ground is not None and subject is not None
    for frame in (4, 9, 15):
        for row, column in ((10, 30), (25, 25), (32, 36), (50, 44)):
            x, y = (float(shift) for shift in ground[frame, :, row, column])
            # A pan to the left sees what is left of it.
            assert x < 0 <= column + x
            wanted = torch.tensor([x, y]) + bilinear(subject[frame], column + x, row + y)
            torch.testing.assert_close(both[frame, :, row, column], wanted, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("names", "options", "steps"),
    [
        (("pan_left", "jump_masked"), {}, 8),
        (("pan_left", "zoom_in"), {}, 4),
        (("jump_masked", "sway_masked"), {}, 4),
        (("pan_left", "jump_masked"), {"render": "latents"}, 4),
    ],
    ids=["camera and subject", "two cameras", "two subjects", "what the network paints"],
)
def test_the_steps_of_all_parts_are_counted(
    base: Base,
    picture: Tensor,
    motions: Callable[..., list[Motion]],
    names: tuple[str, ...],
    options: dict[str, Any],
    steps: int,
) -> None:
    seen: list[Progress] = []
    timing = {"timing": Timing()} if options else {}
    animate(base, picture, motions(*names), replace(OPTIONS, **options, **timing), seen.append)
    assert [(progress.step, progress.steps) for progress in seen] == [(k + 1, steps) for k in range(steps)]


def test_a_motion_that_does_nothing_is_no_part(
    base: Base, picture: Tensor, motions: Callable[..., list[Motion]]
) -> None:
    idle = [*motions("pan_left", strength=0.0), *motions("jump_masked")]
    seen: list[Progress] = []
    animate(base, picture, idle, OPTIONS, seen.append)
    assert len(seen) == 4
