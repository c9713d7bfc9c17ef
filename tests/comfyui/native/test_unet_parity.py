"""Motions on ComfyUI's own Stable Diffusion 1.5 with motion modules against the engine's path through diffusers."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import comfy.model_management
import pytest
import torch
from comfy.patcher_extension import WrappersMP
from comfyui_miva.miva_core import MIVAConfig, Strength, inject
from comfyui_miva.miva_core.adapters.backbone import Backbone
from comfyui_miva.miva_core.animation.predictors import WithProgress
from comfyui_miva.miva_core.bases.model_predictor import ModelPredictor
from comfyui_miva.miva_core.diffusion.loop import sample as engine_sample
from comfyui_miva.miva_core.diffusion.schedulers import prepare_scheduler
from comfyui_miva.nodes.comfy_bridge.native.host import find_host
from comfyui_miva.nodes.comfy_bridge.native.motion_module import apply_motion_module, load_motion_module
from comfyui_miva.nodes.comfy_bridge.native.plan import NO_PROMPT
from torch import Tensor

from .adapters import SMALL, planned, random_adapter
from .cases import Acting, Case
from .masked_cases import MaskedCase
from .runs import error, no_text, sample, seeing, sigmas
from .sd15_models import VERSIONS, SmallSD15, as_rows
from .test_masks import check_run

PAPER = replace(MIVAConfig.paper(), cfa_rank=None, ca_rank=16, ta_rank=8, cfa_softmax="joint")
CLOSE = 2e-5
Spans = dict[str, tuple[float, float]]
SCALE = 0.18215
"""From latents of the VAE to those of the U-Net."""


@pytest.fixture(scope="module")
def case(sd15: SmallSD15) -> Iterator[Case]:
    yield make_case(sd15, "v3")
    comfy.model_management.unload_all_models()


def make_case(sd15: SmallSD15, version: str) -> Case:
    base, motion = sd15.base(version), load_motion_module(sd15.motion(version))
    return Case.of("sd15", apply_motion_module(sd15.model, motion), base.model, base.backbone)


def planned_all(acting: Acting) -> list[Any]:
    return [planned(adapter, strength, name=name) for name, (adapter, strength) in acting.items()]


def acting_of(backbone: Backbone, which: str) -> Acting:
    one, other = random_adapter(backbone, SMALL, 1), random_adapter(backbone, PAPER, 2)
    return {
        "one": {"a": (one, 1.0)},
        "weaker": {"a": (one, 0.6)},
        "by part": {"a": (one, Strength(0.5, 0.8, 1.2))},
        "two of mixed configs": {"a": (one, 0.3), "b": (other, 0.5)},
        "two of one config": {"a": (one, 0.7), "b": (random_adapter(backbone, SMALL, 3), -0.4)},
        "one part alone": {"a": (one, Strength(0.0, 0.0, 0.5))},
    }[which]


@pytest.mark.parametrize(
    "which", ["one", "weaker", "by part", "two of mixed configs", "two of one config", "one part alone"]
)
def test_every_call_is_the_engines(case: Case, which: str) -> None:
    """With a text in each of the two passes of CFG, in one batch or left out where no text is heard."""
    acting = acting_of(case.backbone, which)
    model = case.applied(*planned_all(acting))
    with seeing(model) as seen:
        sample(model, case.latent, case.positive, case.negative, cfg=5.0, steps=2)
    hears_text = abs(1 - sum(Strength.of(strength).prompt for _, strength in acting.values())) > 1e-6
    assert [len(x) for x in seen.x] == [6 if hears_text else 3] * 2
    for call in range(len(seen.x)):
        wanted = engine(case, seen.x[call], seen.timestep[call], seen.context[call], acting)
        assert error(seen.output[call], wanted) < CLOSE
        without = engine(case, seen.x[call], seen.timestep[call], seen.context[call], {})
        assert error(without, wanted) > 0.02


def engine(case: Case, x: Tensor, timestep: Tensor, words: Tensor, acting: Acting) -> Tensor:
    """The engine's answer to a call of the network, of clips of `case.frames` rows."""
    clips, times = x.unflatten(0, (-1, case.frames)).transpose(1, 2), timestep[:: case.frames]
    if not acting:
        return case.reference(clips, times, words).sample.transpose(1, 2).flatten(0, 1)
    with inject(case.reference, **{name: adapter for name, (adapter, _) in acting.items()}) as injection:
        injection.set_weights(**{name: strength for name, (_, strength) in acting.items()})
        return case.reference(clips, times, words).sample.transpose(1, 2).flatten(0, 1)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_has_the_engines_backbone(sd15: SmallSD15, version: str) -> None:
    case = make_case(sd15, version)
    backbone = find_host(case.model).backbone(case.model)
    assert backbone == case.backbone and backbone.fingerprint == case.backbone.fingerprint
    acting = acting_of(backbone, "weaker")
    model = case.applied(*planned_all(acting))
    with seeing(model) as seen:
        sample(model, case.latent, case.positive, steps=1)
    assert error(seen.output[0], engine(case, seen.x[0], seen.timestep[0], seen.context[0], acting)) < CLOSE


def test_mask_sequences_are_clips_of_their_own_to_norms_over_frames(sd15: SmallSD15) -> None:
    check_run(MaskedCase(make_case(sd15, "v1")))


def test_without_a_text_it_is_the_engine_without_a_text(case: Case) -> None:
    acting = acting_of(case.backbone, "one")
    model = case.applied(*planned_all(acting))
    with seeing(model) as seen:
        sample(model, case.latent, no_text(77, 768), steps=1)
    clip, time = seen.x[0].transpose(0, 1)[None], seen.timestep[0][:1]
    with inject(case.reference, a=acting["a"][0]):
        wanted = as_rows(case.reference(clip, time, None).sample)
    assert error(seen.output[0], wanted) < CLOSE


@pytest.mark.parametrize("spans", [{}, {"a": (0.2, 0.7), "b": (0.5, 1.0)}], ids=["always", "in spans"])
def test_a_whole_run_is_the_engines(sd15: SmallSD15, case: Case, spans: Spans) -> None:
    """Euler on `ddim_uniform` has the steps of the engine's DDIM."""
    base, acting = sd15.base("v3"), acting_of(case.backbone, "two of mixed configs")
    motions = [planned(adapter, w, spans.get(n, (0.0, 1.0)), n) for n, (adapter, w) in acting.items()]
    model, levels = case.applied(*motions), sigmas(case.model, 10, "ddim_uniform")
    noise = torch.randn(case.latent.shape, generator=torch.Generator().manual_seed(4))
    # Below its strongest noise ComfyUI starts with less than the whole noise.
    start = noise * (1 + 1 / levels[0] ** 2) ** 0.5
    clips: list[Tensor] = []
    got = sample(
        *(model, case.latent, case.positive),
        steps=levels,
        noise=start,
        callback=lambda step, x0, x, steps: clips.append(x0.clone()),
    )
    wanted = engine_run(base, acting, spans, case, noise)
    assert len(clips) == len(wanted) == 10
    for clip, of_engine in zip(clips, wanted, strict=True):
        assert error(clip, as_rows(of_engine)) < CLOSE
    assert error(got * SCALE, as_rows(wanted[-1])) < CLOSE
    assert torch.equal(got[:1], case.picture[:, :, 0])


def engine_run(
    base: Any, acting: Acting, spans: dict[str, tuple[float, float]], case: Case, noise: Tensor
) -> list[Tensor]:
    """The clips that the engine predicts at each of ten steps."""
    clips: list[Tensor] = []
    with inject(base.model, **{name: adapter for name, (adapter, _) in acting.items()}) as injection:
        injection.set_weights(**{name: strength for name, (_, strength) in acting.items()})
        injection.set_spans(**spans)
        predictor = ModelPredictor(base.model, case.positive[0][0])
        engine_sample(
            WithProgress(predictor, injection, base.noise_process, 10),
            base.noise_process,
            prepare_scheduler(base.scheduler, 10),
            case.picture * SCALE,
            noise.transpose(0, 1)[None],
            callback=lambda step, steps, sampled: clips.append(sampled.latents),
        )
    return clips


def test_a_timestep_between_two_is_told_as_it_is(case: Case) -> None:
    """Samplings of other packs have such."""
    acting = acting_of(case.backbone, "one")
    model = case.applied(*planned_all(acting)).clone()

    def between(executor: Any, x: Tensor, timestep: Tensor, *rest: Any) -> Tensor:
        return executor(x, timestep - 0.37, *rest)

    model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "between", between)
    with seeing(model) as seen:
        sample(model, case.latent, case.positive, steps=1)
    assert seen.timestep[0][0] == pytest.approx(998.63)
    assert error(seen.output[0], engine(case, seen.x[0], seen.timestep[0], seen.context[0], acting)) < CLOSE


@pytest.mark.parametrize("strength", [0.6, Strength(0.6, 0.0, 0.6)])
def test_without_a_prompt_no_text_is_heard_even_where_no_motion_acts(
    sd15_case: Case, strength: float | Strength
) -> None:
    """Before its span begins, and by the engine's model that has no text."""
    case = sd15_case
    adapter, nothing = random_adapter(case.backbone), [[torch.zeros(1, 77, 768), {NO_PROMPT: True}]]
    model = case.applied(planned(adapter, strength, (0.5, 1.0)))
    with seeing(model) as seen:
        sample(model, case.latent, nothing, steps=2)
    for x, time, output, weight in zip(seen.x, seen.timestep, seen.output, (0.0, strength), strict=True):
        with inject(case.reference, motion=adapter) as injection:
            injection.set_weights(motion=weight)
            answer = ModelPredictor(case.reference, None).predict(x.transpose(0, 1)[None], time[:1], 0).output
        assert error(output, answer[0].transpose(0, 1)) < 2e-5
