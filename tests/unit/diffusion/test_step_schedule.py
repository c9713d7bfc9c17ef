"""Steps that end early, against diffusers' DDIM where both make the same ones."""

from types import SimpleNamespace

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from miva_core import RunOptions, animate, load_base
from miva_core.bases.model_predictor import ModelPredictor
from miva_core.diffusion.loop import sample
from miva_core.diffusion.noise_process import NoiseProcess
from miva_core.diffusion.schedulers import prepare_scheduler
from miva_core.diffusion.step_schedule import steps_down_to
from miva_core.errors import MIVAError


@pytest.fixture(params=["epsilon", "v_prediction", "sample", "built in"])
def ddim(request: pytest.FixtureRequest) -> DDIMScheduler:
    if request.param == "built in":
        return load_base("tiny").scheduler
    return DDIMScheduler(timestep_spacing="trailing", clip_sample=False, prediction_type=request.param)


def model(latents: Tensor, t: Tensor, encoder_hidden_states: Tensor | None) -> SimpleNamespace:
    """Something that depends on everything it is given."""
    return SimpleNamespace(sample=torch.sin(3 * latents) + latents.mean() + t.view(-1, 1, 1, 1, 1) / 1000)


@pytest.mark.parametrize("steps", [1, 4, 10, 50])
def test_it_is_ddim_where_ddim_makes_the_same_steps(ddim: DDIMScheduler, steps: int) -> None:
    x1, start = torch.randn(1, 4, 1, 8, 8), torch.randn(1, 4, 3, 8, 8)
    predictor, process = ModelPredictor(model), NoiseProcess(ddim)
    expected = sample(predictor, process, prepare_scheduler(ddim, steps), x1, start)
    ours = sample(predictor, process, steps_down_to(process, steps, 1000 // steps - 1), x1, start)
    torch.testing.assert_close(ours.latents, expected.latents, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("steps", [1, 2, 7, 300])
def test_steps_are_spread_evenly_and_end_where_they_are_told(ddim: DDIMScheduler, steps: int) -> None:
    made = steps_down_to(NoiseProcess(ddim), steps, 700).timesteps
    assert len(made) == steps
    assert made[0] == 999
    if steps > 1:
        assert made[-1] == 700
        gaps = -made.diff()
        assert gaps.min() >= 1
        assert gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize("steps", [301, 640, 1000])
def test_more_steps_than_lie_above_take_every_one_and_go_further(ddim: DDIMScheduler, steps: int) -> None:
    made = steps_down_to(NoiseProcess(ddim), steps, 700).timesteps
    assert made.tolist() == list(range(999, 999 - steps, -1))


@pytest.mark.parametrize("steps", [0, 1001, 2.0, True])
def test_steps_that_cannot_be_made_are_told(ddim: DDIMScheduler, steps: object) -> None:
    with pytest.raises(MIVAError, match=f"steps is {steps}"):
        steps_down_to(NoiseProcess(ddim), steps, 700)


@pytest.mark.filterwarnings("ignore:These steps end in weak noise")
def test_the_built_in_base_ends_early_and_a_chosen_scheduler_does_not() -> None:
    tiny = load_base("tiny")
    steps: list[Tensor] = []
    tiny.model.register_forward_pre_hook(lambda _, args: steps.append(args[1][0].clone()))
    picture = torch.rand(64, 64, 3)
    animate(tiny, picture, [], RunOptions(steps=3, frames=4, render="latents"))
    assert [int(t) for t in steps] == [999, round((999 + tiny.last_timestep) / 2), tiny.last_timestep]
    steps.clear()
    animate(tiny, picture, [], RunOptions(steps=4, frames=4, scheduler=tiny.scheduler, render="latents"))
    assert [int(t) for t in steps] == [999, 749, 499, 249]
