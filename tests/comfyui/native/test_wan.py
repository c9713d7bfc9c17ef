"""Motions on ComfyUI's own Wan against the engine's diffusers path with the same weights and adapters."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from comfyui_miva.miva_core import Strength
from comfyui_miva.miva_core.diffusion.loop import sample as denoise
from comfyui_miva.miva_core.diffusion.noise_process import NoiseProcess
from comfyui_miva.miva_core.diffusion.predictor import Answer
from comfyui_miva.nodes.comfy_bridge.native.host import find_host
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from .adapters import CONFIGS, SMALL, planned, random_adapter
from .cases import Case
from .runs import error, no_text, sample, seeing, sigmas
from .wan_models import SmallWan
from .wan_runs import Acting, by_diffusers

CLOSE = 2e-5
WHOLE = (0.0, 1.0)


@pytest.fixture(scope="module")
def case(wan: SmallWan) -> Case:
    return Case.of("wan", wan.model, wan.reference, wan.backbone)


def acting(case: Case, name: str) -> Acting:
    """Sets of motions that differ in all that a motion may have."""
    adapters = {config: random_adapter(case.backbone, CONFIGS[config], seed) for seed, config in enumerate(CONFIGS)}
    wide = random_adapter(case.backbone, replace(SMALL, ca_rank=16), 9)
    return {
        "one": {"a": (adapters["default"], 1.0, WHOLE)},
        "a share of the text": {"a": (adapters["official_wan"], 0.6, WHOLE)},
        "two in turn": {"a": (adapters["default"], 0.4, (0.0, 0.5)), "b": (adapters["paper"], 0.6, (0.25, 1.0))},
        "a rest": {"a": (adapters["joint"], 1.0, (0.5, 1.0))},
        "three of mixed configs": {
            "a": (adapters["default"], Strength(cross_frame=1.3, prompt=0.2), WHOLE),
            "b": (adapters["joint"], -0.2, (0.25, 0.75)),
            "c": (wide, 0.9, WHOLE),
        },
        "one part alone": {"a": (adapters["paper"], Strength(cross_frame=0.0, prompt=0.7), WHOLE)},
        "the other part alone": {"a": (adapters["paper"], Strength(cross_frame=0.7, prompt=0.0), WHOLE)},
    }[name]


SETS = (
    "one",
    "a share of the text",
    "two in turn",
    "a rest",
    "three of mixed configs",
    "one part alone",
    "the other part alone",
)


def test_its_backbone_is_that_of_the_diffusers_model(wan: SmallWan) -> None:
    backbone = find_host(wan.model).backbone(wan.model)
    assert backbone == wan.backbone and backbone.fingerprint == wan.backbone.fingerprint


@pytest.mark.parametrize("name", SETS)
def test_a_run_is_that_of_the_diffusers_path(case: Case, name: str) -> None:
    motions = acting(case, name)
    model = case.applied(*(planned(one, strength, span, key) for key, (one, strength, span) in motions.items()))
    levels = sigmas(case.model, 8)
    expected = by_diffusers(case, motions, levels)
    plain = sample(case.model, case.latent, case.positive, steps=levels)
    for cfg in (1.0, 3.5):
        got = sample(model, case.latent, case.positive, case.negative, steps=levels, cfg=cfg)
        wanted = sample(expected, case.latent, case.positive, case.negative, steps=levels, cfg=cfg)
        assert error(got[:, :, 1:], wanted[:, :, 1:]) < CLOSE
        assert error(got[:, :, 1:], plain[:, :, 1:]) > 0.02


@pytest.mark.parametrize("sampler", ["dpmpp_2m", "uni_pc", "res_multistep", "lcm", "er_sde", "heun"])
def test_samplers_go_the_way_of_the_diffusers_path(case: Case, sampler: str) -> None:
    motions = acting(case, "three of mixed configs")
    model = case.applied(*(planned(one, strength, span, key) for key, (one, strength, span) in motions.items()))
    levels = sigmas(case.model, 8)
    got = sample(model, case.latent, case.positive, steps=levels, sampler=sampler)
    wanted = sample(by_diffusers(case, motions, levels), case.latent, case.positive, steps=levels, sampler=sampler)
    assert error(got[:, :, 1:], wanted[:, :, 1:]) < CLOSE


def test_euler_without_a_prompt_is_the_loop_of_the_engine(case: Case) -> None:
    """As MIVA Sampler and the command line make a clip, from the same start."""
    adapter = random_adapter(case.backbone)
    process = NoiseProcess(FlowMatchEulerDiscreteScheduler(shift=8.0))
    schedule = FlowMatchEulerDiscreteScheduler(shift=8.0)
    schedule.set_timesteps(sigmas=sigmas(case.model, 5)[:-1].numpy() / (8 - 7 * sigmas(case.model, 5)[:-1].numpy()))
    start = torch.randn(case.latent.shape, generator=torch.Generator().manual_seed(4))
    picture = case.model.model.process_latent_in(case.picture)

    class Model:
        def predict(self, clips: Tensor, t: Tensor, step: int, /) -> Answer:
            output = case.reference(clips, t.expand(len(clips)), encoder_hidden_states=no_text()[0][0]).sample
            return Answer(output, None)

    from comfyui_miva.miva_core import inject

    with inject(case.reference, a=adapter):
        clip = denoise(Model(), process, schedule, picture, start).latents
    got = sample(case.applied(planned(adapter)), case.latent, no_text(), steps=5, noise=start)
    assert error(got, case.model.model.process_latent_out(clip)) < CLOSE


@pytest.mark.parametrize("config", CONFIGS)
def test_every_block_hears_every_config(case: Case, config: str) -> None:
    adapters = {name: random_adapter(case.backbone, CONFIGS[config], seed) for seed, name in enumerate("ab")}
    strengths = {"a": 0.5, "b": 0.8}
    model = case.applied(*(planned(adapters[name], strengths[name], name=name) for name in "ab"))
    with seeing(model) as seen:
        sample(model, case.latent, case.positive, steps=1)
    expected = case.expected(seen, 0, {name: (adapters[name], strengths[name]) for name in "ab"})
    assert error(seen.output[0], expected) < CLOSE


def test_a_batch_of_clips_is_each_of_them(case: Case) -> None:
    model = case.applied(planned(random_adapter(case.backbone), 0.7))
    noise = torch.randn(2, *case.latent.shape[1:], generator=torch.Generator().manual_seed(1))
    both = sample(model, case.latent.repeat(2, 1, 1, 1, 1), case.positive, noise=noise)
    for k in range(2):
        assert error(both[k : k + 1], sample(model, case.latent, case.positive, noise=noise[k : k + 1])) < CLOSE
