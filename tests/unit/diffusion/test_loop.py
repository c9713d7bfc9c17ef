import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LCMScheduler,
    UniPCMultistepScheduler,
)
from torch import Tensor, nn

from miva_core.diffusion.loop import check_same_noise, predict_clean, prepare_scheduler, sample
from miva_core.errors import MIVAError

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


# --- the loop --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("centred", [False, True])
def test_stepping_later_frames_only_is_stepping_all_and_putting_the_picture_back(
    unet: nn.Module, x1: Tensor, start: Tensor, text: Tensor, name: str, centred: bool
) -> None:
    scheduler = SCHEDULERS[name]()
    expected = overwriting_loop(unet, scheduler, x1, start, text, centred)
    found = sample(unet, prepare_scheduler(scheduler, STEPS), x1, start, text=text, centred=centred)
    assert torch.equal(found[:, :, :1], x1)
    # Flow matching steps in float32.
    tolerance = 1e-4 if name == "flow" else 1e-9
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    assert (found[:, :, 1:] - start[:, :, 1:]).abs().max() > 0.01


def test_the_first_frame_of_the_start_is_ignored(unet: nn.Module, x1: Tensor, start: Tensor, text: Tensor) -> None:
    other = start.clone()
    other[:, :, 0] = torch.nan
    found = [sample(unet, prepare_scheduler(SCHEDULERS["ddim"](), 2), x1, s, text=text) for s in (start, other)]
    assert torch.equal(*found)


def test_every_frame_of_every_clip_is_given_the_text(unet: nn.Module, text: Tensor) -> None:
    """A batch of two clips is two clips."""
    x1, start = torch.randn(2, 4, 1, 8, 8).double(), torch.randn(2, 4, FRAMES, 8, 8).double()
    together = sample(unet, prepare_scheduler(SCHEDULERS["ddim"](), 2), x1, start, text=text)
    for b in range(2):
        scheduler = prepare_scheduler(SCHEDULERS["ddim"](), 2)
        alone = sample(unet, scheduler, x1[b : b + 1], start[b : b + 1], text=text)
        torch.testing.assert_close(together[b : b + 1], alone, rtol=1e-9, atol=1e-9)


def test_noise_that_a_scheduler_adds_comes_from_the_generator(
    unet: nn.Module, x1: Tensor, start: Tensor, text: Tensor
) -> None:
    def run(seed: int) -> Tensor:
        scheduler = prepare_scheduler(DDPMScheduler(**SD15, clip_sample=False), 3)
        return sample(unet, scheduler, x1, start, text=text, generator=torch.Generator().manual_seed(seed))

    one, again, other = run(1), run(1), run(2)
    assert torch.equal(one, again) and not torch.allclose(one, other)
    assert torch.equal(one[:, :, :1], x1)


# --- progress --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("centred", [False, True])
def test_the_callback_sees_each_step_in_order_and_at_last_the_result(
    unet: nn.Module, x1: Tensor, start: Tensor, text: Tensor, centred: bool
) -> None:
    seen = []
    scheduler = prepare_scheduler(SCHEDULERS["ddim v"](), STEPS)
    result = sample(
        unet, scheduler, x1, start, text=text, centred=centred, callback=lambda *progress: seen.append(progress)
    )
    assert [(step, steps) for step, steps, _ in seen] == [(k, STEPS) for k in range(1, STEPS + 1)]
    assert all(torch.equal(clip[:, :, :1], x1) and clip.shape == start.shape for _, _, clip in seen)
    # DDIM's last step goes all the way to its own prediction.
    torch.testing.assert_close(seen[-1][2], result, rtol=1e-6, atol=1e-6)


def test_what_is_done_is_told_before_each_step(unet: nn.Module, x1: Tensor, start: Tensor, text: Tensor) -> None:
    told: list[float] = []
    events = unet.register_forward_pre_hook(lambda *_: told.append(-1.0))
    scheduler = prepare_scheduler(SCHEDULERS["ddim v"](), 4)
    sample(unet, scheduler, x1, start, text=text, before_step=told.append)
    events.remove()
    assert told == [0, -1, 0.25, -1, 0.5, -1, 0.75, -1]


def test_watching_changes_nothing_and_an_exception_ends_the_run(
    unet: nn.Module, x1: Tensor, start: Tensor, text: Tensor
) -> None:
    def run(callback: Callable[..., None] | None) -> Tensor:
        return sample(unet, prepare_scheduler(SCHEDULERS["unipc"](), 3), x1, start, text=text, callback=callback)

    assert torch.equal(run(None), run(lambda *_: None))
    steps = []

    def stop(step: int, *_: Any) -> None:
        steps.append(step)
        if step == 2:
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        run(stop)
    assert steps == [1, 2]


# --- the clean prediction --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_clean_predictions_are_those_of_ddim(kind: str) -> None:
    scheduler = DDIMScheduler(**SD15, clip_sample=False, prediction_type=kind)
    scheduler.set_timesteps(10)
    output, noisy = torch.randn(2, 1, 4, 2, 8, 8).double()
    for t in scheduler.timesteps:
        expected = scheduler.step(output, t, noisy).pred_original_sample
        torch.testing.assert_close(predict_clean(scheduler, output, noisy, t), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["flow", "flow unipc"])
def test_clean_predictions_of_flow_matching_undo_a_straight_line(name: str) -> None:
    """x_t = (1 - σ) x + σ n moves with velocity n - x, from which x follows."""
    scheduler = SCHEDULERS[name]()
    scheduler.set_timesteps(5)
    clean, noise = torch.randn(2, 1, 4, 2, 8, 8).double()
    for t in scheduler.timesteps:
        sigma = t.double() / 1000
        found = predict_clean(scheduler, noise - clean, (1 - sigma) * clean + sigma * noise, t)
        torch.testing.assert_close(found, clean, rtol=1e-6, atol=1e-6)


# --- schedulers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_callers_scheduler_is_left_alone(
    unet: nn.Module, x1: Tensor, start: Tensor, text: Tensor, name: str
) -> None:
    scheduler = SCHEDULERS[name]()
    scheduler.set_timesteps(7)
    before = state(scheduler)
    prepared = prepare_scheduler(scheduler, 2)
    sample(unet, prepared, x1, start, text=text)
    assert state(scheduler) == before
    assert len(prepared.timesteps) == 2 and len(scheduler.timesteps) == 7


@pytest.mark.parametrize("cls", [EulerDiscreteScheduler, EulerAncestralDiscreteScheduler, HeunDiscreteScheduler])
@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
def test_schedulers_that_scale_are_refused_by_name(cls: type, spacing: str) -> None:
    with pytest.raises(MIVAError, match=f"{cls.__name__} rescales"):
        prepare_scheduler(cls(**SD15, timestep_spacing=spacing), 10)


@pytest.mark.parametrize("cls", [DDIMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler])
def test_thresholding_is_refused_by_name(cls: type) -> None:
    with pytest.raises(MIVAError, match="by a quantile"):
        prepare_scheduler(cls(**SD15, thresholding=True), 10)


@pytest.mark.parametrize("steps", [0, -1, 1001, 2.5, True, "10", None])
def test_impossible_numbers_of_steps_are_refused(steps: Any) -> None:
    with pytest.raises(MIVAError, match="from 1 to 1000"):
        prepare_scheduler(DDIMScheduler(clip_sample=False), steps)


@pytest.mark.parametrize("steps", [1, 1000])
def test_the_bounds_are_possible(steps: int) -> None:
    assert len(prepare_scheduler(DDIMScheduler(clip_sample=False), steps).timesteps) == steps


def test_clipping_is_refused_by_name() -> None:
    with pytest.raises(MIVAError, match="clip_sample=False"):
        prepare_scheduler(DDIMScheduler(**SD15), 4)


@pytest.mark.parametrize(
    ("scheduler", "steps"),
    [(DDIMScheduler(**SD15, clip_sample=False, steps_offset=1), 1000), (LCMScheduler(**SD15, clip_sample=False), 60)],
    ids=["first step out of range", "its own limit"],
)
def test_steps_that_a_scheduler_cannot_make(scheduler: Any, steps: int) -> None:
    with pytest.raises(MIVAError, match=rf"{type(scheduler).__name__} cannot make {steps} steps"):
        prepare_scheduler(scheduler, steps)


def test_a_scheduler_for_another_noise_is_refused() -> None:
    own = SCHEDULERS["ddim v"]()
    for other in ("ddim", "unipc", "flow", "flow unipc"):
        with pytest.raises(MIVAError, match=r"make it by \w+\.from_config"):
            check_same_noise(SCHEDULERS[other](), own)
    with pytest.raises(MIVAError, match="own noise levels"):
        check_same_noise(DDIMScheduler(prediction_type="v_prediction"), own)
    with pytest.raises(MIVAError, match="not for this base"):
        check_same_noise(own, SCHEDULERS["flow"]())
    for cls in (UniPCMultistepScheduler, DPMSolverMultistepScheduler, DDIMScheduler):
        check_same_noise(cls.from_config(own.config), own)
    check_same_noise(SCHEDULERS["flow unipc"](), SCHEDULERS["flow"]())
