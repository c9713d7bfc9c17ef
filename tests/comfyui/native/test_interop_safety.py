"""A MODEL with motions leaves everything as it was: its source, its branches, and the network, whatever stops a run."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

import comfy.model_management
import comfy.model_patcher
import pytest
import torch
from comfyui_miva.miva_core import MIVAError
from comfyui_miva.nodes.comfy_bridge.native.run import Run
from torch import Tensor

from ..server import COMFYUI_PATH, ROOT
from .adapters import MASKED, SMALL, planned, random_adapter
from .cases import Case
from .runs import error, overridden, sample, seeing


class Stopped(BaseException):
    """No Exception, as KeyboardInterrupt is none."""


def motions_of(case: Case, kind: str) -> list[Any]:
    plain = planned(random_adapter(case.backbone, SMALL), 0.6)
    if kind == "plain":
        return [plain]
    subjects = [
        case.masked(random_adapter(case.backbone, MASKED, k), 0.3, left, str(k)) for k, left in ((1, 0), (2, 6))
    ]
    return [plain, *subjects]


def run_of(case: Case, model: Any, steps: int = 2, callback: Callable[..., None] | None = None) -> Tensor:
    return sample(model, case.latent, case.positive, case.negative, cfg=2.0, steps=steps, callback=callback)


def snapshot(model: Any) -> Any:
    """All that a MODEL consists of but for its weights: what is in its dicts and lists, in order, and which objects."""

    def of(value: Any) -> Any:
        if isinstance(value, Mapping):
            return [(key, of(one)) for key, one in value.items()]
        return [of(one) for one in value] if isinstance(value, list | tuple) else id(value)

    kept = "model_options", "wrappers", "callbacks", "attachments", "additional_models", "injections", "patches"
    return {name: of(getattr(model, name)) for name in (*kept, "object_patches", "backup", "object_patches_backup")}


def assert_nothing_is_left(case: Case, *models: Any) -> None:
    assert overridden(case.net) == []
    assert not any("miva" in model.model_options["transformer_options"] for model in models)
    gc.collect()
    assert not [one for one in gc.get_objects() if type(one) is Run]


@pytest.mark.parametrize("kind", ["plain", "masked"])
def test_a_model_and_its_branches_know_nothing_of_each_other(case: Case, kind: str) -> None:
    source = case.model.clone()
    before, structure = run_of(case, source), [name for name, _ in case.net.named_modules()]
    first = case.applied(*motions_of(case, kind), model=source)
    second = case.applied(planned(random_adapter(case.backbone, SMALL, 7), 0.8), model=source)
    third = case.applied(planned(random_adapter(case.backbone, SMALL, 8), 0.1), model=second)
    models = source, first, second, third
    states = [snapshot(model) for model in models]
    clips = [run_of(case, model) for model in models]
    assert [snapshot(model) for model in models] == states
    assert torch.equal(clips[0], before)
    for k in (3, 0, 2, 1, 2, 0):
        assert torch.equal(run_of(case, models[k]), clips[k])
    assert all(error(clips[k], clips[m]) > 0.01 for k in range(4) for m in range(k))
    assert_nothing_is_left(case, *models)
    assert [name for name, _ in case.net.named_modules() if not name.startswith("diffusion")] == structure


@contextmanager
def stopping_at(place: int) -> Iterator[list[int]]:
    """Raises `Stopped` as the so many-th function is entered, of this pack's or of ComfyUI's networks and samplers.

    Yields:
        How many were entered so far.
    """
    watched = (f"{ROOT}/nodes/comfy_bridge/native/", f"{ROOT}/miva_core/attention/", f"{COMFYUI_PATH}/comfy/ldm/")
    watched += (f"{COMFYUI_PATH}/comfy/k_diffusion/", f"{COMFYUI_PATH}/comfy/samplers.py")
    count = [0]

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        # An expression that nobody reads to its end is entered again as it is thrown away, where nothing can be raised.
        if event == "call" and frame.f_code.co_filename.startswith(watched) and frame.f_code.co_name != "<genexpr>":
            count[0] += 1
            if count[0] == place:
                raise Stopped

    sys.settrace(watch)
    try:
        yield count
    finally:
        sys.settrace(None)


def test_a_stop_while_motion_modules_are_put_in_leaves_a_model_that_runs(sd15_case: Case) -> None:
    model = sd15_case.applied(*motions_of(sd15_case, "plain"))
    expected = run_of(sd15_case, model, 1)
    count = [0]

    def watch(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_back is not None and frame.f_back.f_code.co_name == "_inject":
            count[0] += 1
            if count[0] == 25:
                raise Stopped

    sys.settrace(watch)
    try:
        with pytest.raises(Stopped):
            run_of(sd15_case, model, 1)
    finally:
        sys.settrace(None)
    assert not any(hasattr(module, "temporal_transformer") for module in sd15_case.net.modules())
    assert torch.equal(run_of(sd15_case, model, 1), expected)


@pytest.mark.parametrize("kind", ["plain", "masked"])
def test_a_run_that_is_stopped_anywhere_leaves_nothing(case: Case, kind: str) -> None:
    model = case.applied(*motions_of(case, kind))
    with_motions, without = run_of(case, model, 1), run_of(case, case.model, 1)
    with stopping_at(0) as count:
        run_of(case, model, 1)
    assert count[0] > 100
    for place in range(1, count[0], count[0] // 20):
        with pytest.raises(Stopped), stopping_at(place):
            run_of(case, model, 1)
        assert overridden(case.net) == []
    assert torch.equal(run_of(case, model, 1), with_motions)
    assert torch.equal(run_of(case, case.model, 1), without)
    assert_nothing_is_left(case, model, case.model)


def test_the_stop_button_leaves_nothing(case: Case) -> None:
    model = case.applied(*motions_of(case, "plain"))
    with_motions, without = run_of(case, model), run_of(case, case.model)

    def press(*now: Any) -> None:
        comfy.model_management.interrupt_current_processing()
        comfy.model_management.throw_exception_if_processing_interrupted()

    with pytest.raises(comfy.model_management.InterruptProcessingException):
        run_of(case, model, callback=press)
    assert torch.equal(run_of(case, model), with_motions)
    assert torch.equal(run_of(case, case.model), without)
    assert_nothing_is_left(case, model)


def test_a_motion_that_does_not_come_to_act_is_an_error_and_not_a_still_clip(case: Case) -> None:
    """As with a release of ComfyUI that no longer calls what the motions stand in for."""
    model = case.applied(*motions_of(case, "plain"))

    case.net.__dict__["_forward"] = lambda x, *arguments, **named: x.clone()
    try:
        with pytest.raises(MIVAError, match="not heard at"):
            run_of(case, model)
    finally:
        del case.net.__dict__["_forward"]
    assert_nothing_is_left(case, model)


def test_a_motion_that_begins_late_and_ends_early_is_missed_too(case: Case) -> None:
    model = case.applied(planned(random_adapter(case.backbone, SMALL), span=(0.25, 0.5)))
    case.net.__dict__["_forward"] = lambda x, *arguments, **named: x.clone()
    try:
        with pytest.raises(MIVAError, match="not heard at"):
            run_of(case, model, steps=4)
    finally:
        del case.net.__dict__["_forward"]


def test_a_part_of_a_clip_that_another_node_cuts_out_unseen_is_refused(case: Case) -> None:
    """Its first frame would be taken for the picture."""
    model = case.applied(*motions_of(case, "plain"))

    def cut(apply: Callable[..., Tensor], asked: dict[str, Any]) -> Tensor:
        part = (slice(1, None),) if case.name == "sd15" else (slice(None), slice(None), slice(1, None))
        rows = asked["timestep"][: 2 if case.name == "sd15" else 1]
        conditioning = asked["c"] | {"c_crossattn": asked["c"]["c_crossattn"][: len(rows)]}
        return apply(asked["input"][part], rows, **conditioning)

    model.set_model_unet_function_wrapper(cut)
    with seeing(model) as seen, pytest.raises(MIVAError, match=r"^Another node has cut 2 frames out of the 3 "):
        sample(model, case.latent, case.positive, steps=1)
    assert seen.x == []


@pytest.mark.parametrize("kind", ["plain", "masked"])
def test_weights_that_are_cast_as_they_are_used_give_the_same(
    case: Case, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ComfyUI does where a model does not fit onto the card, with the adapters, too."""
    source = case.model.clone()
    source.add_patches({"diffusion_model." + name: (torch.full_like(value, 0.01),) for name, value in _some(case)})
    model = case.applied(*motions_of(case, kind), model=source)
    expected = run_of(case, model)
    comfy.model_management.unload_all_models()
    load, casting = comfy.model_patcher.ModelPatcher.load, []

    def partly(patcher: Any, device: Any = None, lowvram_model_memory: int = 0, **named: Any) -> Any:
        loaded = load(patcher, device, 1, **(named | {"full_load": False}))
        casting.append(sum(getattr(module, "comfy_cast_weights", False) for module in patcher.model.modules()))
        return loaded

    monkeypatch.setattr(comfy.model_patcher.ModelPatcher, "load", partly)
    got = run_of(case, model)
    monkeypatch.undo()
    comfy.model_management.unload_all_models()
    assert max(casting) > 20
    assert torch.equal(got, expected)
    assert torch.equal(run_of(case, model), expected)


def _some(case: Case) -> list[tuple[str, Tensor]]:
    endings = "to_q.weight", "attn.q.weight"
    return [(name, value) for name, value in case.net.state_dict().items() if name.endswith(endings)]


def test_adapters_are_loaded_with_the_model_and_once(case: Case) -> None:
    motion = planned(random_adapter(case.backbone), 0.6)
    model = case.applied(motion, model=case.applied(motion))
    with seeing(model) as seen:
        run_of(case, model)
    assert seen.x
    loaded = [one.model for one in comfy.model_management.current_loaded_models]
    assert sum(patcher.model is motion.adapter for patcher in loaded) == 1
