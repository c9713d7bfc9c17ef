"""Nothing of a run on Wan stays behind, whatever happens in it, and one MODEL knows nothing of another."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import comfy.model_management
import pytest
import torch
from comfyui_miva.miva_core import MIVAError

from .adapters import planned, random_adapter
from .cases import Case
from .runs import overridden, sample
from .wan_models import SmallWan


@pytest.fixture(scope="module")
def case(wan: SmallWan) -> Case:
    return Case.of("wan", wan.model, wan.reference, wan.backbone)


def test_a_model_and_its_branches_know_nothing_of_each_other(case: Case) -> None:
    def clip(model: Any) -> torch.Tensor:
        return sample(model, case.latent, case.positive, steps=2)

    options = repr(case.model.model_options)
    before = clip(case.model)
    branches = [case.applied(planned(random_adapter(case.backbone, seed=seed))) for seed in (1, 2)]
    clips = [clip(branch) for branch in branches]
    assert not torch.equal(*clips)
    assert torch.equal(clip(case.model), before)
    assert [torch.equal(clip(branch), one) for branch, one in zip(branches[::-1], clips[::-1], strict=True)] == [
        True
    ] * 2
    assert repr(case.model.model_options) == options
    assert not any(case.model.wrappers.values()) and not case.model.attachments and not case.model.additional_models
    assert overridden(case.net) == []


class Stop(BaseException):
    """Neither an Exception nor expected by anybody."""


@pytest.mark.parametrize("error", [Stop, RuntimeError, comfy.model_management.InterruptProcessingException])
@pytest.mark.parametrize("where", ["a block", "a callback"])
def test_an_error_at_any_point_leaves_nothing(case: Case, where: str, error: type[BaseException]) -> None:
    model = case.applied(planned(random_adapter(case.backbone), 0.7))
    clip = sample(model, case.latent, case.positive, steps=2)

    def fail(*_: Any) -> None:
        raise error()

    hook = case.net.blocks[1].ffn.register_forward_pre_hook(fail) if where == "a block" else None
    try:
        with pytest.raises(error):
            sample(model, case.latent, case.positive, steps=2, callback=None if hook else fail)
    finally:
        if hook:
            hook.remove()
    assert overridden(case.net) == []
    assert "miva" not in model.model_options["transformer_options"]
    assert torch.equal(sample(model, case.latent, case.positive, steps=2), clip)


def test_a_run_ends_with_its_call(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    from comfyui_miva.nodes.comfy_bridge.native import sampling

    runs: list[Any] = []
    kind = sampling.Run

    def remembered(*arguments: Any) -> Any:
        run = kind(*arguments)
        runs.append(weakref.ref(run))
        return run

    monkeypatch.setattr(sampling, "Run", remembered)
    model = case.applied(planned(random_adapter(case.backbone)))
    sample(model, case.latent, case.positive, steps=1)
    gc.collect()
    assert len(runs) == 1 and runs[0]() is None


def test_forwards_that_another_node_has_set_are_asked_and_stay(case: Case) -> None:
    """As NAG and other nodes set them, by a patch of the MODEL's objects."""
    adapter = random_adapter(case.backbone)
    called: list[str] = []

    def patched(model: Any, name: str) -> Any:
        model, module = model.clone(), model.get_model_object(f"diffusion_model.blocks.1.{name}")
        own = type(module).forward

        def forward(*arguments: Any, **named: Any) -> torch.Tensor:
            called.append(name)
            return 2 * own(module, *arguments, **named)

        model.add_object_patch(f"diffusion_model.blocks.1.{name}.forward", forward)
        return model

    for name in ("self_attn", "cross_attn"):
        plain = case.applied(planned(adapter, 0.5))
        expected = sample(plain, case.latent, case.positive, steps=2)
        clips = [
            sample(model, case.latent, case.positive, steps=2)
            for model in (patched(plain, name), case.applied(planned(adapter, 0.5), model=patched(case.model, name)))
        ]
        assert called == [name] * 4
        assert torch.equal(*clips) and not torch.allclose(clips[0], expected, atol=1e-2)
        called.clear()
    sample(case.model, case.latent, case.positive, steps=1)
    assert called == []
    for module in case.net.modules():
        # ComfyUI takes its patches out by setting what was there, which is the module's own.
        left = vars(module).pop("forward", None)
        assert left is None or left.__func__ is type(module).forward


def test_a_motion_that_is_not_heard_is_an_error(case: Case) -> None:
    model = case.applied(planned(random_adapter(case.backbone)))
    model.set_model_patch_replace(lambda args, extra: {"img": args["img"]}, "dit", "double_block", 2)
    with pytest.raises(MIVAError) as caught:
        sample(model, case.latent, case.positive, steps=1)
    assert str(caught.value) == (
        "The motions were not heard at blocks.2.self_attn and 1 more: another node has changed how this MODEL runs its "
        "blocks. Take that node out, or use MIVA Sampler with a base of Load MIVA Base."
    )
    assert overridden(case.net) == []


def test_memory_is_asked_for_the_adapters(case: Case) -> None:
    adapter = random_adapter(case.backbone)
    motion = planned(adapter)
    model = case.applied(motion, motion)
    assert [patcher.model for patcher in model.get_nested_additional_models()] == [adapter]
