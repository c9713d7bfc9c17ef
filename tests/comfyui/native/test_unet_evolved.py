"""Motions in MODELs of AnimateDiff-Evolved, which ADE_PATH names a checkout of: the same function, nothing imported."""

import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import comfy.model_management
import folder_paths
import pytest
import torch
from comfyui_miva.miva_core import MIVAError
from comfyui_miva.miva_core.bases.diffusers_port import DiffusersPort
from comfyui_miva.nodes.comfy_bridge.native.host import find_host
from torch import Tensor
from torch.nn import functional

from .adapters import planned, random_adapter
from .cases import Case
from .masked_cases import MaskedCase, check_run
from .runs import error, no_text, overridden, sample, seeing
from .sd15_models import SmallSD15

ADE_PATH = os.environ.get("ADE_PATH", "")
pytestmark = pytest.mark.skipif(not ADE_PATH, reason="ADE_PATH does not name a checkout of AnimateDiff-Evolved")
CLOSE = 2e-5
NARROWER = 10
"""The small U-Net is 32 channels wide, where Stable Diffusion 1.5 has 320."""


@pytest.fixture(scope="module")
def evolved(sd15: SmallSD15) -> Iterator[dict[str, Any]]:
    """Its nodes by id. It replaces functions of ComfyUI while it samples, and gives them back."""
    folder_paths.folder_names_and_paths["animatediff_models"] = ([str(sd15.folder)], {".safetensors"})
    spec = importlib.util.spec_from_file_location(
        "evolved", Path(ADE_PATH) / "__init__.py", submodule_search_locations=[ADE_PATH]
    )
    assert spec and spec.loader
    pack = sys.modules["evolved"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pack)
    with pytest.MonkeyPatch.context() as patch:
        _make_narrow(sys.modules["evolved.animatediff.motion_module_ad"], patch)
        yield pack.NODE_CLASS_MAPPINGS
    comfy.model_management.unload_all_models()


def _make_narrow(modules: ModuleType, patch: pytest.MonkeyPatch) -> None:
    whole = modules.MotionModule
    patch.setattr(modules, "MotionModule", lambda width, **rest: whole(width // NARROWER, **rest))


def call(node: Any, **inputs: Any) -> Any:
    """The first output of a node."""
    return getattr(node(), node.FUNCTION)(**inputs)[0]


def make_case(evolved: dict[str, Any], sd15: SmallSD15, version: str = "v3", context: Any = None, **apply: Any) -> Case:
    motion = call(evolved["ADE_LoadAnimateDiffModel"], model_name=sd15.motion(version).name)
    models = call(evolved["ADE_ApplyAnimateDiffModel"], motion_model=motion, **apply)
    settings = {"beta_schedule": "autoselect", "m_models": models, "context_options": context}
    model = call(evolved["ADE_UseEvolvedSampling"], model=sd15.model, **settings)
    base = sd15.base(version)
    return Case.of("sd15", model, base.model, base.backbone)


@pytest.mark.parametrize("version", ["v2", "v3"])
@pytest.mark.parametrize("cfg", [1.0, 5.0])
def test_every_call_is_the_engines(evolved: dict[str, Any], sd15: SmallSD15, version: str, cfg: float) -> None:
    case = make_case(evolved, sd15, version)
    assert find_host(case.model).backbone(case.model).fingerprint == case.backbone.fingerprint
    one, other = (random_adapter(case.backbone, seed=seed) for seed in (1, 2))
    model = case.applied(planned(one, 0.3, name="one"), planned(other, 0.5, name="other"))
    with seeing(model) as seen:
        result = sample(model, case.latent, case.positive, case.negative, cfg=cfg, steps=2)
    assert seen.timestep[0][0] == 999, "the betas are not those of motions"
    for output, only in chunks(case, seen):
        assert error(output, case.expected(only, 0, {"one": (one, 0.3), "other": (other, 0.5)})) < CLOSE
    assert torch.equal(case.first_frame(result), case.picture)
    assert overridden(case.net) == []


def chunks(case: Case, seen: Any) -> Iterator[tuple[Tensor, Any]]:
    """Each clip of each call, by what the network gave and what it got."""
    for rows in zip(seen.output, seen.x, seen.timestep, seen.context, strict=True):
        for parts in zip(*(part.split(case.frames) for part in rows), strict=True):
            output, x, timestep, context = parts
            yield output, type(seen)(x=[x], timestep=[timestep], context=[context])


def test_a_masked_run_is_the_engines(evolved: dict[str, Any], sd15: SmallSD15) -> None:
    """Mask sequences are further clips to its motion modules."""
    check_run(MaskedCase(make_case(evolved, sd15)))


def test_a_scale_of_motions_is_that_of_keys(
    evolved: dict[str, Any], sd15: SmallSD15, monkeypatch: pytest.MonkeyPatch
) -> None:
    scale = call(evolved["ADE_MultivalDynamic"], float_val=1.4)
    case = make_case(evolved, sd15, scale_multival=scale)
    adapter = random_adapter(case.backbone)
    model = case.applied(planned(adapter, 0.6))
    with seeing(model) as seen:
        sample(model, case.latent, case.positive, steps=1)
    temporal = [case.reference.get_submodule(site.path) for site in case.backbone.sites if site.kind == "ta"]
    own = DiffusersPort.attend

    def attend(port: DiffusersPort, q: Tensor, k: Tensor, v: Tensor, bias: Any = None) -> Tensor:
        return own(port, q, 1.4 * k if any(port._attention is one for one in temporal) else k, v, bias)

    assert error(seen.output[0], case.expected(seen, 0, {"miva": (adapter, 0.6)})) > 1e-3
    monkeypatch.setattr(DiffusersPort, "attend", attend)
    assert error(seen.output[0], case.expected(seen, 0, {"miva": (adapter, 0.6)})) < CLOSE


def test_a_scale_by_place_is_that_of_keys_there(
    evolved: dict[str, Any], sd15: SmallSD15, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_place = 0.5 + torch.rand(1, 8, 12, generator=torch.Generator().manual_seed(0))
    case = make_case(evolved, sd15, scale_multival=by_place)
    adapter = random_adapter(case.backbone)
    model = case.applied(planned(adapter, 0.6))
    with seeing(model) as seen:
        sample(model, case.latent, case.positive, case.negative, cfg=3.0, steps=1)
    grids = [(8, 12), (4, 6), (2, 3), (1, 2)]
    scales = {h * w: functional.interpolate(by_place[None], (h, w), mode="bilinear").flatten() for h, w in grids}
    temporal = [case.reference.get_submodule(site.path) for site in case.backbone.sites if site.kind == "ta"]
    own = DiffusersPort.attend

    def attend(port: DiffusersPort, q: Tensor, k: Tensor, v: Tensor, bias: Any = None) -> Tensor:
        if any(port._attention is one for one in temporal):
            k = k * scales[len(k)][:, None, None]
        return own(port, q, k, v, bias)

    output, only = list(chunks(case, seen))[1]
    assert error(output, case.expected(only, 0, {"miva": (adapter, 0.6)})) > 1e-3
    monkeypatch.setattr(DiffusersPort, "attend", attend)
    assert error(output, case.expected(only, 0, {"miva": (adapter, 0.6)})) < CLOSE


def test_where_it_switches_motion_off_the_other_parts_act(evolved: dict[str, Any], sd15: SmallSD15) -> None:
    case = make_case(evolved, sd15, effect_multival=0.0)
    model = case.applied(planned(random_adapter(case.backbone), 0.6))
    assert sample(model, case.latent, case.positive, steps=1).isfinite().all()


def test_its_windows_are_refused_where_they_lack_the_picture(evolved: dict[str, Any], sd15: SmallSD15) -> None:
    context = call(evolved["ADE_StandardStaticContextOptions"], context_length=8, context_overlap=4)
    case = make_case(evolved, sd15, context=context)
    model = case.applied(planned(random_adapter(case.backbone)), frames=12)
    with pytest.raises(MIVAError, match="AnimateDiff-Evolved's context windows do not all begin with the picture"):
        sample(model, torch.zeros(12, 4, 8, 12), case.positive, steps=1)
    assert overridden(case.net) == []


def test_a_clip_that_fits_into_one_of_its_windows_is_made(evolved: dict[str, Any], sd15: SmallSD15) -> None:
    context = call(evolved["ADE_StandardStaticContextOptions"], context_length=16, context_overlap=4)
    case = make_case(evolved, sd15, context=context)
    adapter = random_adapter(case.backbone)
    model = case.applied(planned(adapter))
    with seeing(model) as seen:
        sample(model, case.latent, case.positive, steps=1)
    assert error(seen.output[0], case.expected(seen, 0, {"miva": (adapter, 1.0)})) < CLOSE


@pytest.mark.parametrize("context_length", [None, 16])
def test_masks_are_made_as_by_the_engine(evolved: dict[str, Any], sd15: SmallSD15, context_length: int | None) -> None:
    options = evolved["ADE_StandardStaticContextOptions"]
    context = context_length and call(options, context_length=context_length, context_overlap=4)
    check_run(MaskedCase(make_case(evolved, sd15, context=context)))


def test_masks_in_its_windows_are_refused(evolved: dict[str, Any], sd15: SmallSD15) -> None:
    context = call(evolved["ADE_StandardStaticContextOptions"], context_length=2, context_overlap=1)
    model = MaskedCase(make_case(evolved, sd15, context=context)).applied()
    with seeing(model) as seen, pytest.raises(MIVAError, match="Masked motions cannot be made in context windows"):
        sample(model, torch.zeros(3, 4, 8, 12), no_text(77, 768), steps=2)
    assert seen.x == []


def test_version_1_is_refused(evolved: dict[str, Any], sd15: SmallSD15) -> None:
    case = make_case(evolved, sd15, "v1")
    with pytest.raises(MIVAError, match="runs motion models of version 1 in another way than motions were trained"):
        case.applied(planned(random_adapter(case.backbone)))


def test_two_of_its_motion_models_are_refused(evolved: dict[str, Any], sd15: SmallSD15) -> None:
    motion = call(evolved["ADE_LoadAnimateDiffModel"], model_name=sd15.motion("v3").name)
    first = call(evolved["ADE_ApplyAnimateDiffModel"], motion_model=motion)
    case = make_case(evolved, sd15, prev_m_models=first)
    with pytest.raises(MIVAError, match="more than one motion model"):
        case.applied(planned(random_adapter(case.backbone)))
