import copy
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor, nn

from miva_core.bases.model_predictor import ModelPredictor
from miva_core.diffusion.loop import Sampled, StepCallback, sample
from miva_core.diffusion.noise_process import NoiseProcess
from miva_core.diffusion.predictor import Answer
from miva_core.diffusion.schedulers import prepare_scheduler

# diffusers' schedulers and numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

FRAMES, STEPS = 3, 4
SD15 = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
SCHEDULERS = {
    "ddim": lambda: DDIMScheduler(**SD15, clip_sample=False),
    "ddim v": lambda: DDIMScheduler(
        **SD15,
        clip_sample=False,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
    ),
    "dpm++": lambda: DPMSolverMultistepScheduler(**SD15),
    "unipc": lambda: UniPCMultistepScheduler(**SD15),
    "flow": lambda: FlowMatchEulerDiscreteScheduler(shift=5.0),
    "flow unipc": lambda: UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    ),
}


@pytest.fixture
def x1() -> Tensor:
    return torch.randn(1, 4, 1, 8, 8).double()


@pytest.fixture
def start() -> Tensor:
    return torch.randn(1, 4, FRAMES, 8, 8).double()


@pytest.fixture
def text() -> Tensor:
    return torch.randn(1, 5, 16).double()


def state(scheduler: Any) -> dict[str, Any]:
    """Everything a scheduler remembers, in a form that can be compared."""

    def plain(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.dtype, value.tolist()
        return [plain(item) for item in value] if isinstance(value, list | tuple) else repr(value)

    return {name: plain(value) for name, value in vars(scheduler).items()}


@torch.no_grad()
def overwriting_loop(
    model: nn.Module, scheduler: Any, x1: Tensor, start: Tensor, text: Tensor, centred: bool = False
) -> Tensor:
    """The plain way: all frames are stepped together, then the picture is put back in its place."""
    scheduler = copy.deepcopy(scheduler)
    scheduler.set_timesteps(STEPS)
    picture = x1.repeat(1, 1, FRAMES, 1, 1)
    words = torch.cat([text] * FRAMES)
    latents = start.clone()
    for t in scheduler.timesteps:
        shown = picture + latents if centred else latents.clone()
        shown[:, :, 0] = x1[:, :, 0]
        velocity = model(shown, t, encoder_hidden_states=words).sample
        latents = scheduler.step(velocity, t, latents).prev_sample
    result = picture + latents if centred else latents
    result[:, :, 0] = x1[:, :, 0]
    return result


def run(
    model: nn.Module,
    name: str,
    steps: int,
    x1: Tensor,
    start: Tensor,
    text: Tensor,
    callback: StepCallback | None = None,
) -> Sampled:
    scheduler = SCHEDULERS[name]()
    schedule = prepare_scheduler(scheduler, steps)
    return sample(ModelPredictor(model, text), NoiseProcess(scheduler), schedule, x1, start, callback=callback)


# --- the loop --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("centred", [False, True])
def test_stepping_later_frames_only_is_stepping_all_and_putting_the_picture_back(
    unet: nn.Module, x1: Tensor, start: Tensor, text: Tensor, name: str, centred: bool
) -> None:
    scheduler = SCHEDULERS[name]()
    expected = overwriting_loop(unet, scheduler, x1, start, text, centred)
    schedule, process = prepare_scheduler(scheduler, STEPS), NoiseProcess(scheduler, centred)
    found = sample(ModelPredictor(unet, text), process, schedule, x1, start).latents
    assert torch.equal(found[:, :, :1], x1)
    # Flow matching steps in float32.
    tolerance = 1e-4 if name == "flow" else 1e-9
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    assert (found[:, :, 1:] - start[:, :, 1:]).abs().max() > 0.01


def test_the_first_frame_of_the_start_is_ignored(unet: nn.Module, x1: Tensor, start: Tensor, text: Tensor) -> None:
    other = start.clone()
    other[:, :, 0] = torch.nan
    assert torch.equal(*(run(unet, "ddim", 2, x1, begun, text).latents for begun in (start, other)))


def test_every_frame_of_every_clip_is_given_the_text(unet: nn.Module, text: Tensor) -> None:
    """A batch of two clips is two clips."""
    x1, start = torch.randn(2, 4, 1, 8, 8).double(), torch.randn(2, 4, FRAMES, 8, 8).double()
    together = run(unet, "ddim", 2, x1, start, text).latents
    for b in range(2):
        alone = run(unet, "ddim", 2, x1[b : b + 1], start[b : b + 1], text).latents
        torch.testing.assert_close(together[b : b + 1], alone, rtol=1e-9, atol=1e-9)


def test_noise_that_a_scheduler_adds_comes_from_the_generator(
    unet: nn.Module, x1: Tensor, start: Tensor, text: Tensor
) -> None:
    def noisy(seed: int) -> Tensor:
        scheduler, predictor = DDPMScheduler(**SD15, clip_sample=False), ModelPredictor(unet, text)
        schedule, generator = prepare_scheduler(scheduler, 3), torch.Generator().manual_seed(seed)
        return sample(predictor, NoiseProcess(scheduler), schedule, x1, start, generator=generator).latents

    one, again, other = noisy(1), noisy(1), noisy(2)
    assert torch.equal(one, again) and not torch.allclose(one, other)
    assert torch.equal(one[:, :, :1], x1)


# --- progress --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("centred", [False, True])
def test_the_callback_sees_each_step_in_order_and_at_last_the_result(
    unet: nn.Module, x1: Tensor, start: Tensor, text: Tensor, centred: bool
) -> None:
    seen: list[tuple[int, int, Sampled]] = []
    scheduler = SCHEDULERS["ddim v"]()
    schedule, process = prepare_scheduler(scheduler, STEPS), NoiseProcess(scheduler, centred)
    result = sample(
        ModelPredictor(unet, text), process, schedule, x1, start, callback=lambda *progress: seen.append(progress)
    )
    assert [(step, steps) for step, steps, _ in seen] == [(k, STEPS) for k in range(1, STEPS + 1)]
    assert all(torch.equal(now.latents[:, :, :1], x1) and now.latents.shape == start.shape for *_, now in seen)
    # DDIM's last step goes all the way to its own prediction.
    torch.testing.assert_close(seen[-1][2].latents, result.latents, rtol=1e-6, atol=1e-6)


class Counting:
    """A predictor that answers its own count of calls, as latents and as a flow, and notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def predict(self, clips: Tensor, t: Tensor, step: int, /) -> Answer:
        self.asked.append((int(t), step))
        return Answer(torch.full_like(clips, len(self.asked)), torch.full((1, FRAMES, 2, 64, 64), len(self.asked)))


def test_the_predictor_is_asked_step_by_step_and_its_flow_comes_back(x1: Tensor, start: Tensor) -> None:
    predictor, scheduler, seen = Counting(), SCHEDULERS["ddim v"](), []
    schedule = prepare_scheduler(scheduler, STEPS)
    result = sample(
        predictor, NoiseProcess(scheduler), schedule, x1, start, callback=lambda *progress: seen.append(progress[2])
    )
    assert predictor.asked == list(zip(schedule.timesteps.tolist(), range(STEPS), strict=True))
    assert [set(now.flow.unique().tolist()) for now in seen] == [{1}, {2}, {3}, {4}]
    assert torch.equal(result.flow, seen[-1].flow)


def test_a_model_without_a_flow_gives_none(unet: nn.Module, x1: Tensor, start: Tensor, text: Tensor) -> None:
    assert run(unet, "ddim", 1, x1, start, text).flow is None


def test_watching_changes_nothing_and_an_exception_ends_the_run(
    unet: nn.Module, x1: Tensor, start: Tensor, text: Tensor
) -> None:
    def watched(callback: StepCallback | None) -> Tensor:
        return run(unet, "unipc", 3, x1, start, text, callback).latents

    assert torch.equal(watched(None), watched(lambda *_: None))
    steps = []

    def stop(step: int, *_: Any) -> None:
        steps.append(step)
        if step == 2:
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        watched(stop)
    assert steps == [1, 2]


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_callers_scheduler_is_left_alone(
    unet: nn.Module, x1: Tensor, start: Tensor, text: Tensor, name: str
) -> None:
    scheduler = SCHEDULERS[name]()
    scheduler.set_timesteps(7)
    before = state(scheduler)
    prepared = prepare_scheduler(scheduler, 2)
    sample(ModelPredictor(unet, text), NoiseProcess(scheduler), prepared, x1, start)
    assert state(scheduler) == before
    assert len(prepared.timesteps) == 2 and len(scheduler.timesteps) == 7
