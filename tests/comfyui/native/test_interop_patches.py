"""What other nodes attach to the same MODEL still acts, before Apply MIVA and after it."""

from collections.abc import Callable
from typing import Any

import comfy.sd
import pytest
import torch
from torch import Tensor

from .adapters import SMALL, planned, random_adapter
from .cases import Case
from .runs import error, sample, seeing
from .wan_models import SmallWan, diffusers_wan

CLOSE = 2e-5
RANK = 4


def lora(names: list[str], weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """A LoRA file of random low ranks on these weights, given by their names in the network."""
    generator = torch.Generator().manual_seed(9)
    file = {}
    for name in names:
        out, width = weights[name].shape[:2]
        stem = f"diffusion_model.{name.removesuffix('.weight')}"
        file[f"{stem}.lora_A.weight"] = torch.randn(RANK, width, generator=generator) * width**-0.5
        file[f"{stem}.lora_B.weight"] = torch.randn(out, RANK, generator=generator) * 0.5
    return file


def merged(weights: dict[str, Tensor], file: dict[str, Tensor], strength: float) -> dict[str, Tensor]:
    """The weights with the LoRA in them."""
    weights = dict(weights)
    for key in file:
        if key.endswith(".lora_A.weight"):
            stem = key.removesuffix(".lora_A.weight")
            name = stem.removeprefix("diffusion_model.") + ".weight"
            change = file[f"{stem}.lora_B.weight"] @ file[key]
            weights[name] = weights[name] + strength * change
    return weights


def is_linear_of_a_block(name: str, weight: Tensor) -> bool:
    return name.startswith("blocks.") and weight.ndim == 2 and name.endswith(".weight")


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_lora_acts_with_a_motion_as_if_merged_into_the_weights(wan: SmallWan, order: str) -> None:
    case = Case.of("wan", wan.model, wan.reference, wan.backbone)
    adapter = random_adapter(wan.backbone)
    file = lora([name for name, weight in wan.state.items() if is_linear_of_a_block(name, weight)], wan.state)

    def with_lora(model: Any) -> Any:
        return comfy.sd.load_lora_for_models(model, None, file, 0.7, 0.0)[0]

    if order == "before":
        model = case.applied(planned(adapter, 0.6), model=with_lora(wan.model))
    else:
        model = with_lora(case.applied(planned(adapter, 0.6)))
    with seeing(model) as seen:
        sample(model, case.latent, case.positive, steps=2)
    both = diffusers_wan(merged(wan.state, file, 0.7))
    for call in range(2):
        expected = case.expected(seen, call, {"miva": (adapter, 0.6)}, both)
        assert error(seen.output[call], expected) < CLOSE
        # and neither alone would do
        assert error(seen.output[call], case.expected(seen, call, {"miva": (adapter, 0.6)})) > 0.01


def doubled(module: Any, args: Any, output: Tensor) -> Tensor:
    return 2 * output


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize("kind", ["patch", "replace"])
def test_patches_of_blocks_act_on_what_a_motion_made(wan: SmallWan, kind: str, order: str) -> None:
    case = Case.of("wan", wan.model, wan.reference, wan.backbone)
    adapter = random_adapter(wan.backbone)

    def additive(args: dict[str, Any]) -> dict[str, Any]:
        return {"img": 2 * args["img"]} if args["block_index"] == 1 else args

    def replacing(args: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
        return {"img": 2 * extra["original_block"](args)["img"]}

    def patched(model: Any) -> Any:
        model = model.clone()
        if kind == "patch":
            model.set_model_patch(additive, "double_block")
        else:
            model.set_model_patch_replace(replacing, "dit", "double_block", 1)
        return model

    if order == "before":
        model = case.applied(planned(adapter, 0.6), model=patched(wan.model))
    else:
        model = patched(case.applied(planned(adapter, 0.6)))
    with seeing(model) as seen:
        sample(model, case.latent, case.positive, steps=1)
    hook = wan.reference.blocks[1].register_forward_hook(doubled)
    try:
        expected = case.expected(seen, 0, {"miva": (adapter, 0.6)})
    finally:
        hook.remove()
    assert error(seen.output[0], expected) < CLOSE


@pytest.mark.parametrize("order", ["before", "after"])
def test_an_attention_that_artists_chose_is_asked_for_the_motion_too(
    case: Case, order: str, count_sites: Callable[[str], int]
) -> None:
    adapter = random_adapter(case.backbone)
    calls: list[int] = []

    def override(attention: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor, *args: Any, **rest: Any) -> Tensor:
        calls.append(q.shape[1])
        return attention(q, k, v, *args, **rest)

    def overridden(model: Any) -> Any:
        model = model.clone()
        model.model_options["transformer_options"]["optimized_attention_override"] = override
        return model

    plain = case.applied(planned(adapter))
    expected = sample(plain, case.latent, case.positive, steps=1)
    model = overridden(plain) if order == "after" else case.applied(planned(adapter), model=overridden(case.model))
    assert torch.equal(sample(model, case.latent, case.positive, steps=1), expected)
    # Self-attention and cross-frame attention of every site; nothing hears the text.
    assert len(calls) >= 2 * count_sites("sa")


@pytest.mark.parametrize("order", ["before", "after"])
def test_patches_of_attention_are_called(case: Case, order: str, count_sites: Callable[[str], int]) -> None:
    adapter = random_adapter(case.backbone)
    called: dict[str, int] = {"attn1_patch": 0, "attn2_patch": 0}

    def counting(name: str) -> Callable[..., Any]:
        def patch(*args: Any) -> Any:
            called[name] += 1
            return args[0]["x"] if len(args) == 1 else args[:3]

        return patch

    def patched(model: Any) -> Any:
        model = model.clone()
        for name in called:
            model.set_model_patch(counting(name), name)
        return model

    plain = case.applied(planned(adapter, 0.6))
    expected = sample(plain, case.latent, case.positive, steps=1)
    model = patched(plain) if order == "after" else case.applied(planned(adapter, 0.6), model=patched(case.model))
    assert torch.equal(sample(model, case.latent, case.positive, steps=1), expected)
    assert called == {"attn1_patch": count_sites("sa"), "attn2_patch": count_sites("ca")}


def test_motions_of_mixed_configs_act_beside_a_text(case: Case) -> None:
    """The reason why the tests above may compare single calls."""
    adapters = {"one": (random_adapter(case.backbone, SMALL, 1), 0.5), "two": (random_adapter(case.backbone, seed=2), 0.3)}
    model = case.applied(*(planned(adapter, weight, name=name) for name, (adapter, weight) in adapters.items()))
    with seeing(model) as seen:
        sample(model, case.latent, case.positive, steps=2)
    for call in range(2):
        assert error(seen.output[call], case.expected(seen, call, adapters)) < CLOSE
