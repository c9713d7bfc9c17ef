"""Inversion where the flow is known in closed form: between normal noise and clips from one or two Gaussians."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from miva_core.diffusion.inversion import invert, transplant
from miva_core.errors import MIVAError

MEANS, DEVIATION = torch.tensor([-1.0, 1.0], dtype=torch.float64), 0.5


def velocity(x: Tensor, t: float) -> Tensor:
    """E[noise - x_0 | x_t = x] of an even mixture of two Gaussians."""
    keep = 1 - t
    variance = keep**2 * DEVIATION**2 + t**2
    away = x[..., None] - keep * MEANS
    of_each = torch.softmax(-away.square() / (2 * variance), dim=-1)
    clean = MEANS + keep * DEVIATION**2 / variance * away
    return (of_each * (t / variance * away - clean)).sum(-1)


def levels(steps: int, shift: float = 3.0) -> list[float]:
    shares = [1 - i / steps for i in range(steps + 1)]
    return [shift * u / (1 + (shift - 1) * u) for u in shares]


def euler(field, x: Tensor, sigmas: list[float]) -> Tensor:
    for i in range(len(sigmas) - 1):
        x = x + (sigmas[i + 1] - sigmas[i]) * field(x, sigmas[i])
    return x


@pytest.fixture
def clean() -> Tensor:
    drawn = torch.Generator().manual_seed(0)
    which = torch.randint(0, 2, (500,), generator=drawn)
    return MEANS[which] + DEVIATION * torch.randn(500, dtype=torch.float64, generator=drawn)


def round_trip(clean: Tensor, steps: int, refine: int) -> float:
    sigmas = levels(steps)
    back = euler(velocity, invert(velocity, clean, sigmas, refine), sigmas)
    return float((back - clean).norm() / clean.norm())


def test_half_the_step_is_half_the_error(clean: Tensor) -> None:
    errors = [round_trip(clean, steps, 0) for steps in (25, 50, 100)]
    for coarse, fine in pairwise(errors):
        assert 1.7 < coarse / fine < 2.2
    assert errors[1] > 1e-3


def test_refined_steps_are_the_inverse_of_eulers(clean: Tensor) -> None:
    assert round_trip(clean, 50, 10) < 1e-6
    errors = [round_trip(clean, 50, refine) for refine in (0, 1, 3, 10)]
    assert all(more > 5 * less for more, less in pairwise(errors))


def test_it_goes_to_where_the_flow_of_a_gaussian_comes_from() -> None:
    """Whose path is x_t = (1 - t) m + s_t / s (x_0 - m), s_t^2 = (1 - t)^2 s^2 + t^2."""
    mean, deviation = 0.7, 0.4

    def field(x: Tensor, t: float) -> Tensor:
        variance = (1 - t) ** 2 * deviation**2 + t**2
        return (t - (1 - t) * deviation**2) / variance * (x - (1 - t) * mean) - mean

    clean = torch.linspace(-2, 3, 11, dtype=torch.float64)
    for top in (1.0, 0.6):
        spread = math.hypot((1 - top) * deviation, top)
        exact = (1 - top) * mean + spread / deviation * (clean - mean)
        errors = [(invert(field, clean, [top * s for s in levels(n)]) - exact).abs().max() for n in (200, 400)]
        assert errors[1] < 0.05
        assert 1.8 < errors[0] / errors[1] < 2.2


def test_a_straight_flow_is_gone_back_exactly() -> None:
    clean, straight = torch.randn(2, 3, 4, dtype=torch.float64), torch.randn(2, 3, 4, dtype=torch.float64)
    noisy = invert(lambda x, t: straight, clean, levels(3))
    torch.testing.assert_close(noisy, clean + straight, rtol=1e-12, atol=1e-12)
    part = invert(lambda x, t: straight, clean, [0.6, 0.2, 0.0])
    torch.testing.assert_close(part, clean + 0.6 * straight, rtol=1e-12, atol=1e-12)


def test_where_guesses_move_apart_refinement_ends() -> None:
    """By x' = x + 2 x' the guesses of one step are 3, 7, 15 times x; the first two move by 2 x and 4 x."""
    asked: list[float] = []

    def field(x: Tensor, t: float) -> Tensor:
        asked.append(float(x))
        return 2 * x

    assert invert(field, torch.tensor(1.0), [1.0, 0.0], refine=10).item() == 7
    assert asked == [1, 3, 7]


def test_the_model_is_asked_at_all_levels_but_the_clean_one() -> None:
    told: list[float] = []
    invert(lambda x, t: told.append(t) or x, torch.ones(1), [1.0, 0.75, 0.25, 0.0])
    assert told == [0.25, 0.75, 1.0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_clip_transplanted_to_its_own_first_frame_is_itself(dtype: torch.dtype) -> None:
    clip = torch.randn(2, 4, 5, 6, 7, dtype=torch.float64).mul(10 ** torch.linspace(-3, 3, 7)).to(dtype)
    assert torch.equal(transplant(clip, clip[:, :, :1]), clip)


def test_another_first_frame_differs_from_its_frames_as_the_clips_did() -> None:
    clip, first = torch.randn(1, 4, 5, 6, 7, dtype=torch.float64), torch.randn(1, 4, 1, 6, 7, dtype=torch.float64)
    moved = transplant(clip, first)
    assert torch.equal(moved[:, :, :1], first)
    torch.testing.assert_close(moved - first, clip - clip[:, :, :1], rtol=0, atol=1e-14)


@pytest.mark.parametrize("first", [(1, 4, 2, 6, 7), (1, 4, 1, 7, 6), (1, 3, 1, 6, 7)])
def test_a_first_frame_of_another_size_is_refused(first: tuple[int, ...]) -> None:
    with pytest.raises(MIVAError, match="must be of one size but for frames"):
        transplant(torch.zeros(1, 4, 5, 6, 7), torch.zeros(first))


@pytest.mark.parametrize(
    "sigmas",
    [[], [0.0], [1.0, 0.5], [0.0, 1.0], [0.0, 0.0], [14.6, 1.0, 0.0], [1.0, math.nan, 0.0], [1.0, -0.1, 0.0]],
)
def test_what_are_no_levels_of_a_run_is_refused(sigmas: list[float]) -> None:
    with pytest.raises(MIVAError, match="must fall from 1 or less to 0"):
        invert(velocity, torch.zeros(1), sigmas)


@pytest.mark.parametrize("refine", [-1, 1.5, True])
def test_refinement_is_a_count(refine: object) -> None:
    with pytest.raises(MIVAError, match="whole number from 0"):
        invert(velocity, torch.zeros(1, dtype=torch.float64), [1.0, 0.0], refine)  # type: ignore[arg-type]
