"""Runs along given noise levels, against diffusers' own schedulers and against Euler's method in float64."""

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler
from torch import Tensor, nn

from miva_core import MIVAConfig, Motion, Progress, RunOptions, animate, load_base
from miva_core.bases.base import Base
from miva_core.bases.model_predictor import ModelPredictor
from miva_core.diffusion.loop import sample
from miva_core.diffusion.noise_process import NoiseProcess
from miva_core.diffusion.schedulers import prepare_scheduler
from miva_core.diffusion.sigmas import SigmaSchedule
from miva_core.errors import MIVAError

pytestmark = [
    # diffusers' schedulers and numpy 2
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:These steps end in weak noise"),
]

CLOSE = {"rtol": 1e-9, "atol": 1e-9}
# Where diffusers or a model compute in float32.
SINGLE = {"rtol": 1e-5, "atol": 1e-5}
SD15 = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "clip_sample": False}
ZERO_SNR = SD15 | {"timestep_spacing": "trailing", "rescale_betas_zero_snr": True}
DDIMS: dict[str, dict[str, Any]] = {
    "noise": SD15 | {"steps_offset": 1},
    "velocity": SD15 | {"prediction_type": "v_prediction"},
    "velocity without signal": ZERO_SNR | {"prediction_type": "v_prediction"},
    "picture without signal": ZERO_SNR | {"prediction_type": "sample"},
}
FLOWS: dict[str, Callable[[], Any]] = {
    "euler": lambda: FlowMatchEulerDiscreteScheduler(shift=5.0),
    "unipc": lambda: UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
}
SCHEDULES: dict[str, list[float]] = {
    "one step": [14.6, 0],
    "ever shorter": [14.6, 7.7, 3.9, 1.6, 0.4, 0.1, 0],
    "ever longer": [4.1, 4.0, 3.8, 3.4, 2.6, 0],
    "beyond what is known": [80, 20, 2.5, 0.001, 0],
    "closer than what is known": [14.6, 14.599, 14.598, 2.51, 2.5099, 1e-4, 1e-5, 0],
}
FLOW_SCHEDULES: dict[str, list[float]] = {
    "one step": [1, 0],
    "ever shorter": [1, 0.6, 0.3, 0.13, 0.05, 0],
    "ever longer": [0.93, 0.925, 0.9, 0.82, 0.5, 0],
}


def ddim(name: str) -> Any:
    """With noise levels in float64, as float32 would hide small mistakes."""
    scheduler = DDIMScheduler(**DDIMS[name])
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
    return scheduler


def known_sigmas(scheduler: Any) -> Tensor:
    """Noise over signal at every step of the training; where there is no signal, a large number as in ComfyUI."""
    alpha_bar = scheduler.alphas_cumprod.double()
    return ((1 - alpha_bar) / alpha_bar).sqrt().clamp(max=1e6)


def own_sigmas(scheduler: Any, steps: int) -> Tensor:
    """The levels that a scheduler goes along by itself, and 0."""
    scheduler = copy.deepcopy(scheduler)
    scheduler.set_timesteps(steps)
    if hasattr(scheduler, "alphas_cumprod"):
        return torch.cat([known_sigmas(scheduler)[scheduler.timesteps], torch.zeros(1)])
    return scheduler.sigmas


@pytest.fixture
def x1() -> Tensor:
    return torch.randn(1, 4, 1, 8, 8).double()


@pytest.fixture
def start() -> Tensor:
    return torch.randn(1, 4, 3, 8, 8).double()


@pytest.fixture
def text() -> Tensor:
    return torch.randn(1, 5, 16).double()


def watched(
    model: nn.Module, scheduler: Any, schedule: Any, x1: Tensor, start: Tensor, text: Tensor, centred: bool = False
) -> Tensor:
    """A run: what every step predicted and, last, the result."""
    seen: list[Tensor] = []
    process = NoiseProcess(scheduler, centred)
    result = sample(
        ModelPredictor(model, text),
        process,
        schedule,
        x1,
        start,
        callback=lambda *progress: seen.append(progress[2].latents),
    )
    return torch.stack([*seen, result.latents])


# --- against diffusers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DDIMS)
def test_steps_along_the_levels_of_ddim_are_its_steps(name: str) -> None:
    scheduler = ddim(name)
    scheduler.set_timesteps(10)
    schedule = SigmaSchedule(NoiseProcess(scheduler), own_sigmas(scheduler, 10))
    assert schedule.timesteps.tolist() == scheduler.timesteps.tolist()
    for t in scheduler.timesteps:
        output, noisy = torch.randn(2, 1, 4, 2, 8, 8).double()
        expected = scheduler.step(output, t, noisy).prev_sample
        torch.testing.assert_close(schedule.step(output, t, noisy).prev_sample, expected, **CLOSE)


@pytest.mark.parametrize("name", DDIMS)
@pytest.mark.parametrize("centred", [False, True])
def test_a_run_along_the_levels_of_ddim_is_its_run(
    unet: nn.Module, x1: Tensor, start: Tensor, text: Tensor, name: str, centred: bool
) -> None:
    scheduler = ddim(name)
    expected = watched(unet, scheduler, prepare_scheduler(scheduler, 4), x1, start, text, centred)
    schedule = SigmaSchedule(NoiseProcess(scheduler), own_sigmas(scheduler, 4))
    torch.testing.assert_close(watched(unet, scheduler, schedule, x1, start, text, centred), expected, **CLOSE)


@pytest.mark.parametrize("steps", [1, 7])
@pytest.mark.parametrize("shift", [1.0, 5.0])
def test_steps_along_the_levels_of_flow_matching_are_its_steps(steps: int, shift: float) -> None:
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(steps)
    schedule = SigmaSchedule(NoiseProcess(scheduler), own_sigmas(scheduler, steps))
    torch.testing.assert_close(schedule.timesteps.float(), scheduler.timesteps)
    for t, own_t in zip(schedule.timesteps, scheduler.timesteps, strict=True):
        output, noisy = torch.randn(2, 1, 4, 2, 8, 8)
        expected = scheduler.step(output, own_t, noisy).prev_sample
        torch.testing.assert_close(schedule.step(output, t, noisy).prev_sample, expected, **SINGLE)


@pytest.mark.parametrize("centred", [False, True])
def test_a_run_along_the_levels_of_flow_matching_is_its_run(
    unet: nn.Module, x1: Tensor, start: Tensor, text: Tensor, centred: bool
) -> None:
    scheduler = FLOWS["euler"]()
    expected = watched(unet, scheduler, prepare_scheduler(scheduler, 4), x1, start, text, centred)
    schedule = SigmaSchedule(NoiseProcess(scheduler), own_sigmas(scheduler, 4))
    torch.testing.assert_close(watched(unet, scheduler, schedule, x1, start, text, centred), expected, **SINGLE)


# --- against Euler's method ------------------------------------------------------------------------------------------


def nearest(level: float, table: list[float]) -> int:
    """By angle, which tells both small and large ratios of noise and signal apart."""
    return min(range(len(table)), key=lambda t: abs(math.atan(table[t]) - math.atan(level)))


@torch.no_grad()
def euler(
    model: nn.Module, kind: str, steps: list[tuple[float, float]], x1: Tensor, start: Tensor, text: Tensor
) -> Tensor:
    """dz/dσ = (z - x_0) / σ for z = x_0 + σ ε, which the model sees scaled to a variance of 1.

    Args:
        steps: what the model is told and σ, for every step.
    """
    words = torch.cat([text] * start.shape[2])
    z = start[:, :, 1:] * math.sqrt(1 + steps[0][1] ** 2)
    for (t, sigma), (_, later) in pairwise([*steps, (0, 0)]):
        scale = math.sqrt(1 + sigma**2)
        output = model(torch.cat([x1, z / scale], 2), torch.tensor(t), encoder_hidden_states=words).sample[:, :, 1:]
        clean = {
            "epsilon": z - sigma * output,
            "v_prediction": z / scale**2 - sigma / scale * output,
            "sample": output,
        }[kind]
        z = z + (later - sigma) * (z - clean) / sigma
    return torch.cat([x1, z], dim=2)


@torch.no_grad()
def flow_euler(model: nn.Module, sigmas: list[float], x1: Tensor, start: Tensor, text: Tensor) -> Tensor:
    """dx/dσ is what the model returns."""
    words, moving = torch.cat([text] * start.shape[2]), start[:, :, 1:]
    for sigma, later in pairwise(sigmas):
        clips, t = torch.cat([x1, moving], 2), torch.tensor(1000 * sigma).double()
        moving = moving + (later - sigma) * model(clips, t, encoder_hidden_states=words).sample[:, :, 1:]
    return torch.cat([x1, moving], dim=2)


@pytest.mark.parametrize("levels", SCHEDULES)
@pytest.mark.parametrize("name", DDIMS)
def test_any_levels_are_gone_along_by_eulers_method(
    unet: nn.Module, x1: Tensor, start: Tensor, text: Tensor, name: str, levels: str
) -> None:
    scheduler = ddim(name)
    table = known_sigmas(scheduler).tolist()
    # A level that comes twice is one step.
    steps = list(dict.fromkeys(nearest(level, table) for level in SCHEDULES[levels][:-1]))
    expected = euler(unet, scheduler.config.prediction_type, [(t, table[t]) for t in steps], x1, start, text)
    process = NoiseProcess(scheduler)
    schedule = SigmaSchedule(process, torch.tensor(SCHEDULES[levels]))
    found = sample(ModelPredictor(unet, text), process, schedule, x1, start).latents
    assert torch.equal(found[:, :, :1], x1)
    torch.testing.assert_close(found, expected, **CLOSE)


@pytest.mark.parametrize("levels", FLOW_SCHEDULES)
@pytest.mark.parametrize("name", FLOWS)
def test_any_levels_of_a_flow_are_gone_along_by_eulers_method(
    unet: nn.Module, x1: Tensor, start: Tensor, text: Tensor, name: str, levels: str
) -> None:
    sigmas = torch.tensor(FLOW_SCHEDULES[levels])
    expected = flow_euler(unet, sigmas.tolist(), x1, start, text)
    process = NoiseProcess(FLOWS[name]())
    found = sample(ModelPredictor(unet, text), process, SigmaSchedule(process, sigmas), x1, start).latents
    assert torch.equal(found[:, :, :1], x1)
    torch.testing.assert_close(found, expected, **CLOSE)


def test_a_model_is_told_the_time_in_the_precision_of_the_clip(x1: Tensor, start: Tensor) -> None:
    """A graphics card may know no float64."""
    times: list[Tensor] = []

    def model(latents: Tensor, t: Tensor, encoder_hidden_states: None) -> SimpleNamespace:
        times.append(t)
        return SimpleNamespace(sample=latents)

    sigmas = torch.tensor(FLOW_SCHEDULES["ever shorter"])
    process = NoiseProcess(FLOWS["euler"]())
    sample(ModelPredictor(model), process, SigmaSchedule(process, sigmas), x1.float(), start.float())
    assert {t.dtype for t in times} == {torch.float32}
    torch.testing.assert_close(torch.cat(times), 1000 * sigmas[:-1])


# --- levels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DDIMS)
def test_every_level_of_the_training_is_found_again_in_single_precision(name: str) -> None:
    """ComfyUI computes its levels so."""
    scheduler = DDIMScheduler(**DDIMS[name])
    sigmas = torch.cat([known_sigmas(scheduler).flip(0), torch.zeros(1)]).float()
    assert SigmaSchedule(NoiseProcess(scheduler), sigmas).timesteps.tolist() == list(range(999, -1, -1))


@pytest.mark.parametrize("levels", SCHEDULES)
def test_other_levels_are_moved_to_one_of_their_two_neighbours(levels: str) -> None:
    table = [0.0, *known_sigmas(ddim("noise")).tolist(), math.inf]
    schedule = SigmaSchedule(NoiseProcess(ddim("noise")), torch.tensor(SCHEDULES[levels]))
    for level in SCHEDULES[levels][:-1]:
        assert any(table[t] < level < table[t + 2] for t in schedule.timesteps.tolist())
    for t in schedule.timesteps.tolist():
        assert any(table[t] < level < table[t + 2] for level in SCHEDULES[levels][:-1])


@pytest.mark.parametrize("shift", [1.82, 2.64, 4.03])
def test_a_flow_that_starts_just_above_1_starts_at_1(shift: float) -> None:
    """Levels shifted in single precision, as ComfyUI shifts them, may be rounded so."""
    even = torch.linspace(1, 0, 5)
    sigmas = shift * even / (1 + (shift - 1) * even)
    assert sigmas[0] > 1
    timesteps = SigmaSchedule(NoiseProcess(FLOWS["euler"]()), sigmas).timesteps
    assert timesteps[0] == 1000
    torch.testing.assert_close(timesteps, 1000 * sigmas[:-1].double(), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("scheduler", "sigmas"),
    [
        (ddim("noise"), torch.tensor([2.0, 0.0])),
        (ddim("noise"), torch.tensor([15, 3, 0])),
        (ddim("noise"), torch.tensor([15.0, 3.0, 0.0], dtype=torch.float16, requires_grad=True)),
        (FLOWS["euler"](), torch.tensor([0.5, 0.0])),
        (FLOWS["unipc"](), torch.tensor([1.0, 0.0])),
    ],
    ids=["least", "whole numbers", "half precision", "least flow", "most flow"],
)
def test_the_bounds_and_other_types_are_possible(scheduler: Any, sigmas: Tensor) -> None:
    before = sigmas.clone()
    assert len(SigmaSchedule(NoiseProcess(scheduler), sigmas).timesteps) == len(sigmas) - 1
    assert torch.equal(sigmas, before)


def laplace(steps: int, low: float = 0.0291675, high: float = 14.614642, mu: float = 0.0, beta: float = 0.5) -> Tensor:
    """The quantiles of a Laplace distribution of log sigma, kept between two levels, as ComfyUI's node gives them."""
    levels = []
    for k in range(steps):
        share = 1 - k / (steps - 1)
        tail = math.log(2 * min(share, 1 - share) + 1e-5)
        level = math.exp(mu + beta * (tail if share < 0.5 else -tail))
        levels.append(min(max(level, low), high))
    return torch.tensor(levels)


@pytest.mark.parametrize("options", [{}, {"low": 0.0}, {"mu": 2.0}, {"beta": 1.5}], ids=str)
@pytest.mark.parametrize("steps", [4, 20, 1000])
@pytest.mark.parametrize("name", DDIMS)
def test_a_laplace_schedule_is_whole_though_it_ends_above_0_and_repeats_levels(
    unet: nn.Module, x1: Tensor, start: Tensor, text: Tensor, name: str, steps: int, options: dict[str, float]
) -> None:
    scheduler, sigmas = ddim(name), laplace(steps, **options)
    assert 0 < sigmas[-1] < 0.03
    table = known_sigmas(scheduler).tolist()
    expected = list(dict.fromkeys(nearest(level, table) for level in sigmas.tolist()))
    schedule = SigmaSchedule(NoiseProcess(scheduler), sigmas)
    assert schedule.timesteps.tolist() == expected
    if steps == 4:
        levels = [(t, table[t]) for t in expected]
        by_euler = euler(unet, scheduler.config.prediction_type, levels, x1, start, text)
        found = sample(ModelPredictor(unet, text), NoiseProcess(scheduler), schedule, x1, start).latents
        torch.testing.assert_close(found, by_euler, **CLOSE)


@pytest.mark.parametrize("name", FLOWS)
def test_levels_of_a_flow_that_repeat_are_one_step(name: str) -> None:
    found = SigmaSchedule(NoiseProcess(FLOWS[name]()), torch.tensor([1, 1, 0.6, 0.6, 0.6, 0.3, 0, 0]))
    torch.testing.assert_close(found.timesteps, torch.tensor([1000.0, 600, 300]).double(), rtol=1e-6, atol=0)


# --- what is refused -------------------------------------------------------------------------------------------------


REFUSED: dict[str, tuple[Any, str]] = {
    "a list": ([14.6, 0.0], "The SIGMAS are a list, expected one number for each step"),
    "nothing": (torch.zeros(0), "The SIGMAS are of shape (0,), expected one number for each step"),
    "a number": (torch.tensor(14.6), "The SIGMAS are of shape (), expected one number for each step"),
    "one level": (torch.tensor([14.6]), "The SIGMAS are of shape (1,), expected one number for each step"),
    "a batch": (torch.tensor([[14.6, 0.0]]), "The SIGMAS are of shape (1, 2), expected one number for each step"),
    "flipped": (
        torch.tensor([0.0, 3.5, 14.6]),
        "The SIGMAS (0, 3.5, 14.6 … 14.6) must never rise, and end at 0, or at 0.03 at most",
    ),
    "split": (
        torch.tensor([14.6, 5, 3]),
        "The SIGMAS (14.6, 5, 3 … 3) must never rise, and end at 0, or at 0.03 at most",
    ),
    "rising once": (torch.tensor([14.6, 3, 5, 0]), "The SIGMAS (14.6, 3, 5 … 0) must never rise, and end at 0"),
    "split late": (torch.tensor([14.6, 3, 0.031]), "The SIGMAS (14.6, 3, 0.031 … 0.031) must never rise, and end at 0"),
    "below 0": (
        torch.tensor([14.6, 3, -1]),
        "The SIGMAS (14.6, 3, -1 … -1) must never rise, and end at 0, or at 0.03 at most",
    ),
    "all 0": (torch.zeros(2), "The SIGMAS (0, 0 … 0) must never rise, and end at 0"),
    "NaN first": (torch.tensor([math.nan, 3, 0]), "The SIGMAS (nan, 3, 0 … 0) must never rise, and end at 0"),
    "NaN last": (torch.tensor([14.6, 3, math.nan]), "The SIGMAS (14.6, 3, nan … nan) must never rise, and end at 0"),
    "infinite": (torch.tensor([math.inf, 3, 0]), "The SIGMAS (inf, 3, 0 … 0) must never rise, and end at 0"),
}
TOO_LOW = "The SIGMAS begin at {}, but this base starts from noise, about 14.6: take all of a schedule"
NO_FLOW = "The SIGMAS begin at {}, but this base is a flow model, whose noise goes from 1 to 0"


def refusal(scheduler: Any, sigmas: Any) -> str:
    with pytest.raises(MIVAError) as raised:
        SigmaSchedule(NoiseProcess(scheduler), sigmas)
    message = str(raised.value)
    assert message.endswith(".") and ". " not in message and "\n" not in message
    return message


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_schedule_is_refused_by_every_base(case: str) -> None:
    sigmas, words = REFUSED[case]
    for scheduler in (ddim("noise"), ddim("picture without signal"), FLOWS["euler"]()):
        assert refusal(scheduler, sigmas).startswith(words)


@pytest.mark.parametrize(
    ("kind", "first", "words"),
    [
        ("noise", 1.99, TOO_LOW),
        ("picture without signal", 1.0, TOO_LOW),
        ("euler", 14.6, NO_FLOW),
        ("euler", 1.0001, NO_FLOW),
        ("unipc", 14.6, NO_FLOW),
        ("unipc", 0.49, NO_FLOW),
    ],
)
def test_a_schedule_for_another_base_is_refused(kind: str, first: float, words: str) -> None:
    scheduler = ddim(kind) if kind in DDIMS else FLOWS[kind]()
    message = refusal(scheduler, torch.tensor([first, 0.1, 0.0]))
    assert message.startswith(words.format(f"{first:g}"))
    assert "leave SIGMAS unconnected" in message


# --- clips -----------------------------------------------------------------------------------------------------------


painted = partial(RunOptions, render="latents")
"""Options of a run whose frames the network paints."""


@pytest.fixture(scope="module")
def tiny() -> Base:
    return load_base("tiny")


@pytest.mark.parametrize("steps", [1, 5])
def test_the_built_in_bases_own_levels_make_its_clip(tiny: Base, steps: int) -> None:
    picture = torch.rand(*tiny.size, 3)
    expected = animate(tiny, picture, [], painted(steps=steps, frames=4, scheduler=tiny.scheduler))
    found = animate(tiny, picture, [], painted(sigmas=own_sigmas(tiny.scheduler, steps), frames=4))
    torch.testing.assert_close(found.frames, expected.frames, **SINGLE)
    assert (animate(tiny, picture, [], painted(frames=4)).frames - expected.frames).abs().max() > 5e-3


def test_a_flow_bases_own_levels_make_its_clip(make_base: Callable[..., Base]) -> None:
    base, picture = make_base("wan"), torch.rand(16, 16, 3)
    expected = animate(base, picture, [], RunOptions(steps=4))
    found = animate(base, picture, [], RunOptions(sigmas=own_sigmas(base.scheduler, 4)))
    torch.testing.assert_close(found.frames, expected.frames, **SINGLE)
    assert (animate(base, picture).frames - expected.frames).abs().max() > 1e-3


def test_masks_go_along_the_same_levels(tiny: Base, make_adapter: Callable) -> None:
    jump = make_adapter(tiny.model, MIVAConfig(cfa_rank=2, ca_rank=2, ta_rank=2, mask=True))
    mask = torch.zeros(tiny.size)
    mask[16:40, 8:32] = 1
    picture, motion = torch.rand(*tiny.size, 3), Motion(jump, mask=mask, name="jump")
    expected = animate(tiny, picture, [motion], painted(steps=4, scheduler=tiny.scheduler, frames=3))
    found = animate(tiny, picture, [motion], painted(sigmas=own_sigmas(tiny.scheduler, 4), frames=3))
    torch.testing.assert_close(found.masks["jump"], expected.masks["jump"], rtol=0, atol=1e-4)
    torch.testing.assert_close(found.frames, expected.frames, rtol=0, atol=1e-4)
    other = animate(tiny, picture, [motion], painted(sigmas=torch.tensor([9.0, 6.0, 5.0, 4.0, 0.0]), frames=3))
    assert (other.masks["jump"] - expected.masks["jump"]).abs().max() > 1e-2


def test_steps_are_counted_by_the_levels_that_differ(tiny: Base) -> None:
    counted: list[tuple[int, int]] = []

    def note(progress: Progress) -> None:
        counted.append((progress.step, progress.steps))

    sigmas = torch.tensor([14.6, 14.5999, 3.0, 0.5, 0.0])
    animate(tiny, torch.rand(*tiny.size, 3), [], painted(sigmas=sigmas, steps=2, frames=2), callback=note)
    assert counted == [(1, 3), (2, 3), (3, 3)]


def test_wrong_levels_are_told_before_anything_is_run(tiny: Base) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("the codec or the model was run")

    base = replace(tiny, codec=refuse)
    watch = base.model.register_forward_pre_hook(refuse)
    try:
        for sigmas, words in (([14.6, 0.0], "The SIGMAS are a list"), (torch.tensor([1.0, 0.0]), "The SIGMAS begin")):
            with pytest.raises(MIVAError, match=words):
                animate(base, torch.rand(*base.size, 3), [], painted(sigmas=sigmas))
    finally:
        watch.remove()
