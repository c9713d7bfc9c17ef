"""The noise process against diffusers' schedulers, and by the laws that tie its methods together."""

from collections.abc import Callable

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor

from miva_core.diffusion.noise_process import NoiseProcess, Scheduler

# diffusers' schedulers and numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SD15 = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "clip_sample": False}
CLOSE = {"rtol": 1e-6, "atol": 1e-6}


def ddim(kind: str) -> DDIMScheduler:
    return DDIMScheduler(**SD15, prediction_type=kind)


FLOWS: dict[str, Callable[[], Scheduler]] = {
    "euler": lambda: FlowMatchEulerDiscreteScheduler(shift=5.0),
    "unipc": lambda: UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
}
DDIMS = {kind: lambda kind=kind: ddim(kind) for kind in ("epsilon", "v_prediction", "sample")}
EVERY = DDIMS | FLOWS


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    """Clean clips and noise (2, 4, 3, 8, 8)."""
    clean, noise = torch.randn(2, 2, 4, 3, 8, 8).double()
    return clean, noise


@pytest.mark.parametrize("kind", DDIMS)
def test_noise_is_added_as_diffusers_adds_it(pair: tuple[Tensor, Tensor], kind: str) -> None:
    t = torch.tensor([100, 900])
    expected = ddim(kind).add_noise(*pair, t)
    torch.testing.assert_close(NoiseProcess(ddim(kind)).noised(*pair, t), expected, **CLOSE)


def test_noise_of_a_flow_is_added_as_diffusers_adds_it(pair: tuple[Tensor, Tensor]) -> None:
    scheduler = FLOWS["euler"]()
    t = scheduler.timesteps[[100, 700]]
    expected = scheduler.scale_noise(pair[0], t, pair[1])
    torch.testing.assert_close(NoiseProcess(scheduler).noised(*pair, t), expected, **CLOSE)


def test_the_target_of_a_velocity_is_diffusers(pair: tuple[Tensor, Tensor]) -> None:
    t = torch.tensor([100, 900])
    expected = ddim("v_prediction").get_velocity(*pair, t)
    torch.testing.assert_close(NoiseProcess(ddim("v_prediction")).target(*pair, t), expected, **CLOSE)


@pytest.mark.parametrize("kind", DDIMS)
def test_clean_predictions_and_moves_are_those_of_ddim(pair: tuple[Tensor, Tensor], kind: str) -> None:
    scheduler = ddim(kind)
    scheduler.set_timesteps(10)
    process, (output, noisy) = NoiseProcess(scheduler), pair
    for t, later in zip(scheduler.timesteps[:-1], scheduler.timesteps[1:], strict=True):
        expected = scheduler.step(output, t, noisy)
        clean = process.clean(output, noisy, t)
        torch.testing.assert_close(clean, expected.pred_original_sample, **CLOSE)
        torch.testing.assert_close(process.move(clean, noisy, t, later), expected.prev_sample, **CLOSE)


def test_moves_of_a_flow_are_eulers(pair: tuple[Tensor, Tensor]) -> None:
    scheduler = FLOWS["euler"]()
    scheduler.set_timesteps(6)
    process, (output, noisy) = NoiseProcess(scheduler), pair
    for t, later in zip(scheduler.timesteps[:-1], scheduler.timesteps[1:], strict=True):
        expected = scheduler.step(output, t, noisy).prev_sample.double()
        clean = process.clean(output, noisy, t)
        torch.testing.assert_close(process.move(clean, noisy, t, later), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", EVERY)
def test_a_model_that_hits_its_target_knows_the_clean_clip_and_moves_along_the_truth(
    pair: tuple[Tensor, Tensor], name: str
) -> None:
    """Each clip of the batch by its own step."""
    process, t, to = NoiseProcess(EVERY[name]()), torch.tensor([900, 300]), torch.tensor([20, 290])
    noisy = process.noised(*pair, t)
    clean = process.clean(process.target(*pair, t), noisy, t)
    torch.testing.assert_close(clean, pair[0], **CLOSE)
    torch.testing.assert_close(process.move(clean, noisy, t, to), process.noised(*pair, to), **CLOSE)


@pytest.mark.parametrize("name", EVERY)
def test_levels_are_shaped_and_typed_to_multiply_the_clips(name: str) -> None:
    process, clips = NoiseProcess(EVERY[name]()), torch.zeros(2, 4, 3, 8, 8).half()
    for t, shape in ((torch.tensor(500), ()), (torch.tensor([500, 10]), (2, 1, 1, 1, 1))):
        assert {(level.shape, level.dtype) for level in process.levels(t, clips)} == {(shape, torch.float16)}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("centred", [False, True])
def test_the_centre_is_what_relative_takes_away(pair: tuple[Tensor, Tensor], name: str, centred: bool) -> None:
    process, latents = NoiseProcess(EVERY[name](), centred), pair[0]
    relative = process.relative(latents)
    torch.testing.assert_close(relative + process.centre(latents[:, :, :1]), latents)
    assert bool(relative[:, :, 0].any()) is not centred


def test_shares_of_a_table_are_its_steps() -> None:
    shares = torch.tensor([0.0, 0.2504, 0.9999, 1.0])
    assert NoiseProcess(ddim("epsilon")).steps_at(shares).tolist() == [0, 250, 999, 999]


def test_even_shares_of_a_flow_are_the_steps_that_diffusers_spaces() -> None:
    scheduler = FLOWS["euler"]()
    shares = torch.arange(1000, 0, -1) / 1000
    torch.testing.assert_close(NoiseProcess(scheduler).steps_at(shares), scheduler.timesteps, rtol=1e-4, atol=1e-2)


def test_processes_are_the_same_by_their_prediction_and_noise_whatever_the_sampler() -> None:
    process = NoiseProcess(ddim("v_prediction"))
    for cls in (UniPCMultistepScheduler, DPMSolverMultistepScheduler, DDIMScheduler):
        assert process.same_as(NoiseProcess(cls.from_config(ddim("v_prediction").config)))
    for other in (ddim("epsilon"), DDIMScheduler(prediction_type="v_prediction"), *(make() for make in FLOWS.values())):
        assert not process.same_as(NoiseProcess(other)) and not NoiseProcess(other).same_as(process)
    euler, unipc = (NoiseProcess(make()) for make in FLOWS.values())
    assert euler.same_as(unipc) and unipc.same_as(euler)


@pytest.mark.parametrize("process", [NoiseProcess(FLOWS["euler"]()), NoiseProcess(ddim("epsilon"))])
def test_the_share_of_a_step_leads_back_to_it(process: NoiseProcess) -> None:
    assert process.share_at(0) == 0 and process.share_at(process.length) == 1
    for t in (1, 250, 875, 999):
        there = process.steps_at(torch.tensor([process.share_at(t) + 1e-9], dtype=torch.float64))
        assert there.item() == pytest.approx(t, abs=1e-4)
