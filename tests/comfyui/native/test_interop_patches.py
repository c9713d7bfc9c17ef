"""What other nodes attach to the same MODEL still acts, before Apply MIVA and after it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import comfy.sd
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .adapters import CONFIGS, SMALL, planned, random_adapter
from .cases import Case, Order
from .runs import error, sample, seeing
from .sd15_models import SmallSD15
from .wan_models import SmallWan, diffusers_wan

CLOSE = 2e-5
STRENGTH, RANK = 0.7, 4
"""Of LoRAs."""
BOTH = pytest.mark.parametrize("order", ["before", "after"])


def lora(net: nn.Module) -> dict[str, Tensor]:
    """A LoRA file of random low ranks on every linear map of the attentions of a network."""
    generator = torch.Generator().manual_seed(9)
    file = {}
    for name, module in net.named_modules():
        if "attn" in name and isinstance(module, nn.Linear):
            out, width = module.weight.shape
            file[f"diffusion_model.{name}.lora_A.weight"] = torch.randn(RANK, width, generator=generator) * width**-0.5
            file[f"diffusion_model.{name}.lora_B.weight"] = torch.randn(out, RANK, generator=generator) * 0.5
    return file


def merged(weights: dict[str, Tensor], file: dict[str, Tensor], prefix: str = "") -> dict[str, Tensor]:
    """Weights with the LoRA in them, whose names have a prefix in front of those in the network."""
    weights = dict(weights)
    for key in [key for key in file if key.endswith(".lora_A.weight")]:
        stem = key.removesuffix(".lora_A.weight")
        name = f"{prefix}{stem.removeprefix('diffusion_model.')}.weight"
        weights[name] = weights[name] + STRENGTH * file[f"{stem}.lora_B.weight"] @ file[key]
    return weights


def reference_with(file: dict[str, Tensor], case: Case, wan: SmallWan, sd15: SmallSD15, folder: Path) -> nn.Module:
    """The diffusers model with the LoRA merged into its weights."""
    if case.name == "wan":
        return diffusers_wan(merged(wan.state, file))
    save_file(merged(load_file(sd15.checkpoint), file, "model.diffusion_model."), folder / "merged.safetensors")
    return sd15.base("v3", folder / "merged.safetensors").model


@BOTH
def test_a_lora_acts_with_a_motion_as_if_it_were_merged_into_the_weights(
    case: Case, order: Order, wan: SmallWan, sd15: SmallSD15, tmp_path: Path
) -> None:
    adapter, file = random_adapter(case.backbone), lora(case.net)
    acting = {"miva": (adapter, 0.6)}

    def with_lora(model: Any) -> Any:
        return comfy.sd.load_lora_for_models(model, None, file, STRENGTH, 0.0)[0]

    model = case.beside(with_lora, order, planned(adapter, 0.6))
    with seeing(model) as seen:
        sample(model, case.latent, case.positive, steps=2)
    reference = reference_with(file, case, wan, sd15, tmp_path)
    for call in range(2):
        assert error(seen.output[call], case.expected(seen, call, acting, reference)) < CLOSE
        assert error(seen.output[call], case.expected(seen, call, acting)) > 0.01, "the LoRA does not act"


@BOTH
@pytest.mark.parametrize("kind", ["patch", "replace"])
def test_patches_of_blocks_act_on_what_a_motion_made(wan_case: Case, kind: str, order: Order) -> None:
    adapter = random_adapter(wan_case.backbone)

    def patch(args: dict[str, Any]) -> dict[str, Any]:
        return {"img": 2 * args["img"]} if args["block_index"] == 1 else args

    def replacing(args: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
        return {"img": 2 * extra["original_block"](args)["img"]}

    def patched(model: Any) -> Any:
        model = model.clone()
        if kind == "patch":
            model.set_model_patch(patch, "double_block")
        else:
            model.set_model_patch_replace(replacing, "dit", "double_block", 1)
        return model

    model = wan_case.beside(patched, order, planned(adapter, 0.6))
    with seeing(model) as seen:
        sample(model, wan_case.latent, wan_case.positive, steps=1)
    hook = wan_case.reference.blocks[1].register_forward_hook(lambda module, args, output: 2 * output)
    try:
        expected = wan_case.expected(seen, 0, {"miva": (adapter, 0.6)})
    finally:
        hook.remove()
    assert error(seen.output[0], expected) < CLOSE


@BOTH
def test_an_attention_that_artists_chose_is_asked_for_the_motion_too(case: Case, order: Order) -> None:
    adapter = random_adapter(case.backbone)
    calls: list[tuple[int, ...]] = []

    def override(attention: Callable[..., Tensor], q: Tensor, k: Tensor, v: Tensor, *args: Any, **rest: Any) -> Tensor:
        calls.append(q.shape)
        return attention(q, k, v, *args, **rest)

    def overridden(model: Any) -> Any:
        model = model.clone()
        model.model_options["transformer_options"]["optimized_attention_override"] = override
        return model

    expected = sample(case.applied(planned(adapter)), case.latent, case.positive, steps=1)
    model = case.beside(overridden, order, planned(adapter))
    assert torch.equal(sample(model, case.latent, case.positive, steps=1), expected)
    # Self-attention and cross-frame attention of every site; nothing hears the text.
    assert len(calls) >= 2 * case.count("sa")


@BOTH
def test_patches_of_attention_are_called_and_what_they_give_is_used(case: Case, order: Order) -> None:
    adapter = random_adapter(case.backbone)
    called = {"attn1_patch": 0, "attn2_patch": 0}

    def counting(name: str, factor: float) -> Callable[..., Any]:
        def on_wan(args: dict[str, Any]) -> Tensor:
            called[name] += 1
            return factor * args["x"]

        def on_unet(query: Tensor, key: Tensor, value: Tensor, extra: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
            called[name] += 1
            return query, key, factor * value

        return on_wan if case.name == "wan" else on_unet

    def patched_by(factor: float) -> Callable[[Any], Any]:
        def patched(model: Any) -> Any:
            model = model.clone()
            for name in called:
                model.set_model_patch(counting(name, factor), name)
            return model

        return patched

    def run(factor: float) -> Tensor:
        model = case.beside(patched_by(factor), order, planned(adapter, 0.6))
        return sample(model, case.latent, case.positive, steps=1)

    plain = sample(case.applied(planned(adapter, 0.6)), case.latent, case.positive, steps=1)
    assert torch.equal(run(1.0), plain)
    assert called == {"attn1_patch": case.count("sa"), "attn2_patch": case.count("ca")}
    assert error(run(0.5), plain) > 0.01


def test_motions_of_mixed_configs_act_beside_a_text(case: Case) -> None:
    """The reason why the tests above may compare single calls."""
    joint = random_adapter(case.backbone, CONFIGS["joint"], 1)
    adapters = {"one": (joint, 0.5), "two": (random_adapter(case.backbone, SMALL, 2), 0.3)}
    model = case.applied(*(planned(adapter, weight, name=name) for name, (adapter, weight) in adapters.items()))
    with seeing(model) as seen:
        sample(model, case.latent, case.positive, steps=2)
    for call in range(2):
        assert error(seen.output[call], case.expected(seen, call, adapters)) < CLOSE


def halving_the_negative(model: Any, name: str) -> Any:
    """A node that knows the two passes of CFG apart inside of the network."""

    def halved(x: Tensor, options: dict[str, Any]) -> Tensor:
        passes = x.unflatten(0, (len(options["cond_or_uncond"]), -1)).clone()
        for number, which in enumerate(options["cond_or_uncond"]):
            passes[number] *= 0.5 if which == 1 else 1
        return passes.flatten(0, 1)

    model = model.clone()
    if name == "wan":
        model.set_model_patch(lambda told: halved(told["x"], told["transformer_options"]), "attn1_patch")
    else:
        model.set_model_attn1_patch(lambda x, k, v, extra: (halved(x, extra), k, v))
    return model


def test_a_patch_in_one_pass_of_cfg_is_not_taken_for_one_in_both(case: Case) -> None:
    """Though the text is not heard, so that without it the passes would be the same."""
    model = halving_the_negative(case.applied(planned(random_adapter(case.backbone))), case.name)
    looked_at = model.clone()
    looked_at.set_model_sampler_post_cfg_function(lambda told: told["denoised"])
    clips = [sample(one, case.latent, case.positive, case.negative, cfg=3.0) for one in (model, looked_at)]
    assert error(*clips) < 1e-5
    assert error(sample(model, case.latent, case.positive, case.negative), clips[0]) > 0.01
