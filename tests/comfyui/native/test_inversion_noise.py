"""Inversion Noise on ComfyUI's own Wan: there and back, and as the engine goes back with the diffusers model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from comfy_extras.nodes_custom_sampler import FlipSigmas
from comfyui_miva.miva_core import MIVAError
from comfyui_miva.miva_core.diffusion.inversion import invert
from torch import Tensor

from .adapters import MASKED, planned, random_adapter
from .cases import Case
from .real_comfyui import NODES
from .runs import error, sample, sampler_custom_advanced, seeing, sigmas
from .wan_models import SmallWan

STEPS = 6
REFINED = 20
"""The most that the node offers; the first step back, from 0 to 0.62, needs them."""


@pytest.fixture(scope="module")
def case(wan: SmallWan) -> Case:
    return Case.of("wan", wan.model, wan.reference, wan.backbone)


@pytest.fixture
def clip(case: Case) -> Tensor:
    """What the model makes, so that it is near to what it knows."""
    return sample(case.model, case.latent, case.positive, steps=STEPS)


def inversion(model: Any, case: Case, clip: Tensor, levels: Tensor, refine: int = 3) -> Any:
    latent = {"samples": clip}
    return NODES["MIVAInversionNoise"].execute(
        model=model, positive=case.positive, latent=latent, sigmas=levels, refine=refine
    )[0]


def test_the_same_sampler_gives_the_clip_back(case: Case, clip: Tensor) -> None:
    levels, misses = sigmas(case.model, STEPS), []
    assert levels[0] == 1
    for refine in (0, 2, REFINED):
        noise = inversion(case.model, case, clip, levels, refine)
        assert noise.generate_noise({"samples": clip}).isfinite().all()
        back = sampler_custom_advanced(case.model, {"samples": case.latent}, case.positive, noise=noise, levels=levels)
        misses.append(error(back[0]["samples"], clip))
    assert misses[0] > 2 * misses[1] > 4 * misses[2]
    assert misses[2] < 1e-4


def test_comfyuis_own_flipped_sigmas_end_in_infinity(case: Case, clip: Tensor) -> None:
    """Which is why the node is there."""
    flipped = FlipSigmas.execute(sigmas(case.model, STEPS))[0]
    nothing = torch.zeros_like(clip)
    assert not sample(case.model, clip, case.positive, steps=flipped, noise=nothing).isfinite().any()


def test_it_goes_back_as_the_engine_does(case: Case, clip: Tensor) -> None:
    levels = sigmas(case.model, STEPS)
    words = case.positive[0][0]

    def velocity(x: Tensor, sigma: float) -> Tensor:
        return case.reference(x, torch.full((1,), 1000 * sigma), encoder_hidden_states=words).sample

    expected = invert(velocity, case.model.model.process_latent_in(clip), levels.tolist(), 1)
    got = inversion(case.model, case, clip, levels, 1).generate_noise({"samples": clip})
    assert error(got, expected) < 2e-5
    assert got.device.type == "cpu" and got.dtype == torch.float32


def test_a_part_of_the_way_is_gone_back_from_the_same_latent(case: Case, clip: Tensor) -> None:
    levels = sigmas(case.model, STEPS, denoise=0.5)
    assert levels[0] < 0.95
    noise = inversion(case.model, case, clip, levels, REFINED)
    back = sampler_custom_advanced(case.model, {"samples": clip}, case.positive, noise=noise, levels=levels)
    assert error(back[0]["samples"], clip) < 1e-4


def test_motions_act_on_the_way_back_and_forth(case: Case) -> None:
    model = case.applied(planned(random_adapter(case.backbone), 0.6))
    levels = sigmas(model, STEPS)
    clip = sample(model, case.latent, case.positive, steps=levels)
    noise = inversion(model, case, clip, levels, REFINED)
    again = sampler_custom_advanced(model, {"samples": case.latent}, case.positive, noise=noise, levels=levels)
    assert error(again[0]["samples"], clip) < 1e-3
    without = sampler_custom_advanced(case.model, {"samples": case.latent}, case.positive, noise=noise, levels=levels)
    assert error(without[0]["samples"], clip) > 0.01


def test_it_asks_once_a_step_and_once_for_each_refinement(case: Case, clip: Tensor) -> None:
    with seeing(case.model) as seen:
        inversion(case.model, case, clip, sigmas(case.model, 3), 2)
    assert len(seen.x) == 9


@pytest.mark.parametrize(
    ("latent", "why"),
    [
        (torch.zeros(1, 16, 3, 8, 12), "`latent` is empty: connect VAE Encode with the frames to go back from."),
        (torch.ones(3, 4, 8, 12), "`latent` has the shape (3, 4, 8, 12), which is no latent of this model: connect"),
    ],
)
def test_what_is_no_clip_of_the_model_is_refused(case: Case, latent: Tensor, why: str) -> None:
    with pytest.raises(MIVAError) as caught:
        inversion(case.model, case, latent, sigmas(case.model, 3))
    assert str(caught.value).startswith(why)


def test_models_without_a_flow_are_refused(sd15_case: Case) -> None:
    with pytest.raises(MIVAError, match="this MODEL is SD15, which has none: connect a flow model"):
        inversion(sd15_case.model, sd15_case, sd15_case.latent, sigmas(sd15_case.model, 3))


def test_a_flipped_or_split_schedule_is_refused(case: Case, clip: Tensor) -> None:
    levels = sigmas(case.model, 4)
    for wrong in (levels.flip(0), levels[:3], levels[:0]):
        with pytest.raises(MIVAError, match="connect a whole schedule, neither split nor flipped"):
            inversion(case.model, case, clip, wrong)


def test_a_sampler_of_another_length_is_refused(case: Case, clip: Tensor) -> None:
    noise = inversion(case.model, case, clip, sigmas(case.model, 2), 0)
    with pytest.raises(MIVAError, match="give both the same size and length"):
        noise.generate_noise({"samples": torch.zeros(1, 16, 5, 8, 12)})


def test_masked_motions_are_refused(case: Case, clip: Tensor) -> None:
    model = case.applied(case.masked(random_adapter(case.backbone, MASKED)))
    with pytest.raises(MIVAError, match="Masked motions need one sampler for all steps"):
        inversion(model, case, clip, sigmas(model, 2))
