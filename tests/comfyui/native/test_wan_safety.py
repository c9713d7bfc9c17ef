"""Runs on Wan stay with their call, and with what other nodes have set in the network."""

from __future__ import annotations

import gc
import weakref
from typing import Any

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


@pytest.mark.parametrize("skipped_at_last", [False, True])
def test_caches_may_leave_out_blocks_but_not_to_the_end(case: Case, skipped_at_last: bool) -> None:
    """A motion that begins at step 3, where a cache that takes the place of blocks answers, as TeaCache does."""
    model = case.applied(planned(random_adapter(case.backbone), span=(0.5, 1.0)))
    step = [0]

    def cached(args: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
        step[0] += 1
        skip = step[0] == 3 or (step[0] == 4 and skipped_at_last)
        return {"img": args["img"]} if skip else extra["original_block"](args)

    model.set_model_patch_replace(cached, "dit", "double_block", 2)
    if skipped_at_last:
        with pytest.raises(MIVAError, match=r"^The motions were not heard at blocks\.2\.self_attn and 1 more: "):
            sample(model, case.latent, case.positive, steps=4)
    else:
        sample(model, case.latent, case.positive, steps=4)
    assert step == [4]
