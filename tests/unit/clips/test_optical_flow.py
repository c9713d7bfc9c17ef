import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from miva_core.clips.camera import (
    UNIT_MOVES,
    apply_affine,
    compose_affine,
    film,
    invert_affine,
    move_transforms,
    pixel_grid,
)
from miva_core.clips.optical_flow import flow_errors, join_flow, measure_flow, mirrored

FRAMES, SIDE = 8, 48


@pytest.fixture(params=["pan_left", "pan_down", "zoom_in", "roll_cw"])
def filmed(request: pytest.FixtureRequest) -> tuple[Tensor, Tensor]:
    """A clip (F, 3, H, W) of smooth blotches, and its transforms (F, 2, 3)."""
    noise = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    picture = F.interpolate(noise, (96, 96), mode="bicubic")
    transforms = move_transforms(UNIT_MOVES[request.param], 1.0, FRAMES)
    return film(picture.clamp(0, 1), transforms, SIDE, SIDE)[0], transforms[0]


def exact(transforms: Tensor) -> Tensor:
    """(F, 2, H, W): where a pixel is in the frame that maps are to."""
    grid = pixel_grid(SIDE, SIDE)
    return (apply_affine(transforms, grid) - grid).movedim(-1, 1)


def test_the_flow_of_a_camera_is_found(filmed: tuple[Tensor, Tensor]) -> None:
    frames, transforms = filmed
    steps = measure_flow(frames).float()
    assert steps.shape == (FRAMES, 3, SIDE, SIDE)
    assert (steps[0, :2] == 0).all() and (steps[0, 2] == 1).all()
    to_before = compose_affine(invert_affine(transforms[:-1]), transforms[1:])
    off = (steps[1:, :2] - exact(to_before)).norm(dim=1)
    trusted = steps[1:, 2] > 0
    assert trusted.float().mean() > 0.9 and off[trusted].mean() < 0.1


def test_it_leads_to_the_frame_that_is_asked_for(filmed: tuple[Tensor, Tensor]) -> None:
    frames, transforms = filmed
    every_third = measure_flow(frames, stride=3).float()
    assert every_third.shape == (FRAMES, 3, SIDE, SIDE) and (every_third[:3, :2] == 0).all()
    to_earlier = compose_affine(invert_affine(transforms[:-3]), transforms[3:])
    off = (every_third[3:, :2] - exact(to_earlier)).norm(dim=1)
    assert off[every_third[3:, 2] > 0].mean() < 0.3


def test_in_a_mirror_it_is_that_of_the_mirrored_clip(filmed: tuple[Tensor, Tensor]) -> None:
    frames, _ = filmed
    flipped, measured = mirrored(measure_flow(frames)).float(), measure_flow(frames.flip(-1)).float()
    both = (flipped[:, 2] > 0) & (measured[:, 2] > 0)
    assert (flipped - measured)[:, :2].norm(dim=1)[both].mean() < 0.1


def test_joined_it_leads_to_the_first_frame(filmed: tuple[Tensor, Tensor]) -> None:
    frames, transforms = filmed
    joined = join_flow(measure_flow(frames)[None])[0]
    far = exact(transforms)
    off = (joined[:, :2] - far).norm(dim=1)
    trusted = joined[:, 2] > 0
    assert trusted.float().mean() > 0.75
    for k in range(1, FRAMES):
        assert off[k][trusted[k]].mean() < 0.1 * far[k].norm(dim=0).mean()


@pytest.mark.parametrize("move", ["pan_left", "zoom_in", "zoom_out", "roll_ccw"])
def test_exact_steps_of_a_camera_are_joined_exactly_beyond_the_edge_too(move: str) -> None:
    transforms = move_transforms(UNIT_MOVES[move], 1.0, 16)[0]
    steps = torch.ones(1, 16, 3, SIDE, SIDE)
    steps[0, 1:, :2] = exact(compose_affine(invert_affine(transforms[:-1]), transforms[1:]))
    joined = join_flow(steps)[0]
    torch.testing.assert_close(joined[:, :2], exact(transforms), atol=1e-3, rtol=0)
    assert joined[:, 2].all()


def test_a_step_that_is_not_trusted_spoils_what_comes_from_it() -> None:
    steps = torch.zeros(1, 3, 3, 4, 4)
    steps[:, :, 2] = 1
    steps[0, 1, 2, 2, 3] = 0
    joined = join_flow(steps)[0, :, 2]
    assert joined[0].all() and joined[1:].sum() == 30 and not joined[1:, 2, 3].any()


def test_a_cut_is_not_trusted() -> None:
    frames = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    frames = F.interpolate(frames, (SIDE, SIDE), mode="bicubic").clamp(0, 1)
    assert measure_flow(frames)[1, 2].float().mean() < 0.5


def test_errors_are_those_of_a_slow_loop() -> None:
    predicted, target = torch.randn(2, 3, 2, 4, 4).double(), torch.randn(2, 3, 3, 4, 4).double()
    target[:, :, 2] = (target[:, :, 2] > 0).double()
    weights = torch.rand(2, 3, 2, 2).double()
    for b, error in enumerate(flow_errors(predicted, target, weights)):
        total = 0.0
        for i in (1, 2):
            for y in range(4):
                for x in range(4):
                    off = sum(abs(predicted[b, i, c, y, x] - target[b, i, c, y, x]).item() for c in (0, 1)) / 2
                    total += off * target[b, i, 2, y, x].item() * weights[b, i, y // 2, x // 2].item()
        assert error.item() == pytest.approx(total / (2 * 16))
