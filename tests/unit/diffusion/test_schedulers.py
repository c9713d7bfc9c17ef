"""Which schedulers are taken, for how many steps; what cannot sample beside a clean frame is refused by name."""

from typing import Any

import pytest
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LCMScheduler,
    UniPCMultistepScheduler,
)

from miva_core.diffusion.noise_process import NoiseProcess
from miva_core.diffusion.schedulers import check_same_noise, prepare_scheduler
from miva_core.errors import MIVAError

# diffusers' schedulers and numpy 2
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SD15 = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}


@pytest.mark.parametrize("cls", [EulerDiscreteScheduler, EulerAncestralDiscreteScheduler, HeunDiscreteScheduler])
@pytest.mark.parametrize("spacing", ["linspace", "leading", "trailing"])
def test_schedulers_that_scale_are_refused_by_name(cls: type, spacing: str) -> None:
    with pytest.raises(MIVAError, match=f"{cls.__name__} rescales"):
        prepare_scheduler(cls(**SD15, timestep_spacing=spacing), 10)


@pytest.mark.parametrize("cls", [DDIMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler])
def test_thresholding_is_refused_by_name(cls: type) -> None:
    with pytest.raises(MIVAError, match=f"{cls.__name__} clips by a quantile"):
        prepare_scheduler(cls(**SD15, thresholding=True), 10)


@pytest.mark.parametrize("steps", [0, -1, 1001, 2.5, True, "10", None])
def test_impossible_numbers_of_steps_are_refused(steps: Any) -> None:
    with pytest.raises(MIVAError, match="number from 1 to 1000"):
        prepare_scheduler(DDIMScheduler(clip_sample=False), steps)


@pytest.mark.parametrize("steps", [1, 1000])
def test_the_bounds_are_possible(steps: int) -> None:
    assert len(prepare_scheduler(DDIMScheduler(clip_sample=False), steps).timesteps) == steps


def test_clipping_is_refused_by_name() -> None:
    with pytest.raises(MIVAError, match=r"DDIMScheduler clips latents .* clip_sample=False"):
        prepare_scheduler(DDIMScheduler(**SD15), 4)


@pytest.mark.parametrize(
    ("scheduler", "steps"),
    [(DDIMScheduler(**SD15, clip_sample=False, steps_offset=1), 1000), (LCMScheduler(**SD15, clip_sample=False), 60)],
    ids=["first step out of range", "its own limit"],
)
def test_steps_that_a_scheduler_cannot_make(scheduler: Any, steps: int) -> None:
    with pytest.raises(MIVAError, match=f"cannot make {steps} steps"):
        prepare_scheduler(scheduler, steps)


OWN = {"prediction_type": "v_prediction", "timestep_spacing": "trailing", "rescale_betas_zero_snr": True}


def test_a_scheduler_for_another_noise_is_refused() -> None:
    scheduler = DDIMScheduler(**SD15, **OWN, clip_sample=False)
    flow = FlowMatchEulerDiscreteScheduler(shift=5.0)
    flow_unipc = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
    for other in (DDIMScheduler(**SD15), UniPCMultistepScheduler(**SD15), flow, flow_unipc):
        with pytest.raises(MIVAError, match=r"\w+\.from_config"):
            check_same_noise(other, NoiseProcess(scheduler))
    with pytest.raises(MIVAError, match="own noise levels"):
        check_same_noise(DDIMScheduler(prediction_type="v_prediction"), NoiseProcess(scheduler))
    with pytest.raises(MIVAError, match="not for this base"):
        check_same_noise(scheduler, NoiseProcess(flow))
    for cls in (UniPCMultistepScheduler, DPMSolverMultistepScheduler, DDIMScheduler):
        check_same_noise(cls.from_config(scheduler.config), NoiseProcess(scheduler))
    check_same_noise(flow_unipc, NoiseProcess(flow))
