"""Every sampler that ComfyUI offers: frame 1 is the picture in each call of the network, and in the result."""

from typing import Any

import comfy.samplers
import pytest
import torch
from comfyui_miva.nodes.comfy_bridge.native.plan import NO_PROMPT
from torch import Tensor

from .adapters import MASKED, planned, random_adapter
from .cases import Case
from .runs import error, ksampler, sample, sampler_custom_advanced, seeing, sigmas

FOR_OTHER_MODELS = {"ar_video"}
"""Autoregressive models alone have it, and motions do not act on these."""
SAMPLERS = [name for name in comfy.samplers.SAMPLER_NAMES if name not in FOR_OTHER_MODELS]


def first_frames(case: Case, x: Tensor, chunks: int) -> Tensor:
    """(chunks, C, h, w) of what a network got."""
    return x[:, :, 0] if case.name == "wan" else x[:: len(x) // chunks]


@pytest.mark.parametrize("cfg", [1.0, 3.5])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_frame_1_is_the_picture_in_every_call_and_in_the_result(case: Case, sampler: str, cfg: float) -> None:
    model = case.applied(planned(random_adapter(case.backbone), 0.6))
    with seeing(model) as seen:
        result = sample(model, case.latent, case.positive, case.negative, steps=3, sampler=sampler, cfg=cfg)
    clean = model.model.process_latent_in(case.picture)[:, :, 0]
    assert len(seen.x) >= 3
    for x, options in zip(seen.x, seen.options, strict=True):
        chunks = len(options["cond_or_uncond"])
        firsts = first_frames(case, x, chunks)
        # Some samplers guide at CFG 1, too.
        assert len(firsts) == chunks >= (1 if cfg == 1 else 2)
        assert all(torch.equal(first, clean[0]) for first in firsts)
    assert torch.equal(case.first_frame(result), case.picture)
    assert result.isfinite().all()


@pytest.mark.parametrize("cfg", [1.0, 6.0])
def test_with_all_weight_on_motions_guidance_costs_and_changes_nothing(case: Case, cfg: float) -> None:
    model = case.applied(planned(random_adapter(case.backbone)))
    with seeing(model) as seen:
        result = sample(model, case.latent, case.positive, case.negative, cfg=cfg)
    plain = sample(model, case.latent, case.positive)
    assert torch.equal(result, plain)
    assert [len(options["cond_or_uncond"]) for options in seen.options] == [1] * 4


@pytest.mark.parametrize("kind", ["plain", "masked"])
def test_without_a_prompt_guidance_costs_and_changes_nothing(case: Case, kind: str) -> None:
    """Also where motions leave a share to the text, of which there is none in either pass."""
    of_subject = case.masked(random_adapter(case.backbone, MASKED), 0.6)
    model = case.applied(of_subject if kind == "masked" else planned(random_adapter(case.backbone), 0.6))
    silence = [[torch.zeros_like(case.positive[0][0]), {NO_PROMPT: True}]]
    with seeing(model) as seen:
        result = sample(model, case.latent, silence, silence, cfg=6.0)
    assert torch.equal(result, sample(model, case.latent, silence))
    assert len(seen.options) == 4


def test_guidance_is_not_skipped_where_somebody_else_looks_at_it(case: Case) -> None:
    asked: list[int] = []

    def looking(args: dict[str, Any]) -> Tensor:
        asked.append(len(args))
        assert args["uncond_denoised"] is not None
        return args["denoised"]

    def with_function(model: Any) -> Any:
        model = model.clone()
        model.set_model_sampler_post_cfg_function(looking)
        return model

    model = case.beside(with_function, "after", planned(random_adapter(case.backbone)))
    with seeing(model) as seen:
        sample(model, case.latent, case.positive, case.negative, cfg=3.0)
    assert len(asked) == 4
    assert sum(len(options["cond_or_uncond"]) for options in seen.options) == 8


def test_three_ways_to_sample_give_one_clip(case: Case) -> None:
    model = case.applied(planned(random_adapter(case.backbone), 0.6))
    latent = {"samples": case.latent}
    by_node = ksampler(model, latent, case.positive, negative=case.negative, cfg=2.0)["samples"]
    advanced = sampler_custom_advanced(model, latent, case.positive, case.negative, cfg=2.0)[0]["samples"]
    custom = sample(model, case.latent, case.positive, case.negative, cfg=2.0)
    assert torch.equal(by_node, custom) and torch.equal(advanced, custom)


@pytest.mark.parametrize("order", [(0.6, 0.3), (0.3, 0.6)])
def test_two_applies_in_a_row_are_one_of_both(case: Case, order: tuple[float, float]) -> None:
    lower, upper = (
        planned(random_adapter(case.backbone, seed=k), weight, name=str(k)) for k, weight in enumerate(order)
    )
    once = sample(case.applied(lower, upper), case.latent, case.positive)
    twice = sample(case.applied(upper, model=case.applied(lower)), case.latent, case.positive)
    assert torch.equal(once, twice)
    assert error(once, sample(case.applied(lower), case.latent, case.positive)) > 0.01


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m"])
def test_two_samplers_with_parts_of_the_steps_are_one(case: Case, sampler: str) -> None:
    """Each motion acts in its own part of the run, and the second sampler knows where that is."""
    spans = [(0.0, 0.3), (0.3, 1.0)]
    motions = [planned(random_adapter(case.backbone, seed=k), 0.8, span, str(k)) for k, span in enumerate(spans)]
    model = case.applied(*motions)
    levels, latent = sigmas(model, 6), {"samples": case.latent}
    whole = ksampler(model, latent, case.positive, steps=6)["samples"]
    half = sample(model, case.latent, case.positive, steps=levels[:4], seed=5)
    rest = sample(model, half, case.positive, steps=levels[3:], noise=torch.zeros_like(half))
    assert error(rest, whole) < 2e-6
    assert torch.equal(case.first_frame(rest), case.picture)


def test_previews_are_clips_that_begin_with_the_picture(case: Case) -> None:
    shown: list[Tensor] = []
    model = case.applied(planned(random_adapter(case.backbone), 0.6))
    sample(model, case.latent, case.positive, callback=lambda step, x0, x, steps: shown.append(x0.clone()))
    clean = model.model.process_latent_in(case.picture)
    assert len(shown) == 4
    assert all(torch.equal(case.first_frame(x0), clean) for x0 in shown)
