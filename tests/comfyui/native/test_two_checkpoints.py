"""EDG's extrapolation and its schedule by ComfyUI's own nodes, on small Wan models, against the formulas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import comfy.model_management
import pytest
import torch
from comfy_extras.nodes_hooks import (
    CreateHookKeyframe,
    CreateHookLoraModelOnly,
    PairConditioningSetProperties,
    SetHookKeyframes,
)
from comfy_extras.nodes_model_advanced import ModelSamplingSD3
from comfy_extras.nodes_model_merging import ModelAdd, ModelSubtract
from comfyui_miva.miva_core import Curve
from safetensors.torch import save_file
from torch import Tensor

import nodes

from .adapters import planned, random_adapter
from .cases import Case
from .real_comfyui import MODELS
from .runs import error, sample, sigmas
from .sd15_models import SmallSD15, native_sd15
from .wan_models import SmallWan, native_wan

CLOSE = 2e-5
EARLY, LATE = -0.1875, 1.25
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def case(wan: SmallWan) -> Case:
    """Its MODEL has the shift that Wan is usually run with."""
    (model,) = ModelSamplingSD3().patch(wan.model, 5.0)
    return Case.of("wan", model, wan.reference, wan.backbone)


def weights(model: Any) -> State:
    """Of the network in a MODEL."""
    return {name: value.clone() for name, value in model.model.diffusion_model.state_dict().items()}


def trained_on(older: State) -> State:
    generator = torch.Generator().manual_seed(1)
    return {name: value + 0.02 * torch.randn(value.shape, generator=generator) for name, value in older.items()}


def with_weights(model: Any, state: State) -> Any:
    model.model.diffusion_model.load_state_dict(state)
    return model


def merged(older: Any, newer: Any, multiplier: float) -> Any:
    (change,) = ModelSubtract().merge(older, newer, multiplier)
    return ModelAdd().merge(older, change)[0]


def formula(older: State, newer: State, multiplier: float) -> State:
    """What blocks of Wan hold beside their layers, `modulation`, ComfyUI leaves as the older one has it."""
    moved = {name: value + multiplier * (value - newer[name]) for name, value in older.items()}
    return moved | {name: value for name, value in older.items() if name.endswith("modulation")}


@pytest.mark.parametrize("multiplier", [0.25, -1.25])
@pytest.mark.parametrize("kind", ["sd15", "wan"])
def test_a_multiple_of_their_difference_is_added(kind: str, sd15: SmallSD15, wan: SmallWan, multiplier: float) -> None:
    load = {"wan": lambda: native_wan(wan.state), "sd15": lambda: native_sd15(sd15.checkpoint)}[kind]
    model = load()
    older = weights(model)
    newer = trained_on(older)
    whole = merged(model, with_weights(load(), newer), multiplier)
    comfy.model_management.load_models_gpu([whole])
    got, wanted = weights(whole), formula(older, newer, multiplier)
    assert max((got[name] - wanted[name]).abs().max() for name in wanted) < 1e-6
    stays = [name for name in got if torch.equal(got[name], older[name])]
    assert all(name.endswith("modulation") for name in stays)


def test_motions_act_on_the_sum(wan: SmallWan, case: Case) -> None:
    motion, newer = planned(random_adapter(case.backbone), 0.7), trained_on(wan.state)
    models = merged(native_wan(wan.state), native_wan(newer), 0.25), native_wan(formula(wan.state, newer, 0.25))
    clips = [sample(case.applied(motion, model=model), case.latent, case.positive, steps=2) for model in models]
    assert error(*clips) < CLOSE
    assert (
        error(clips[0], sample(case.applied(motion, model=native_wan(wan.state)), case.latent, case.positive, steps=2))
        > 0.01
    )


@pytest.fixture(scope="module")
def lora(wan: SmallWan) -> str:
    """Name of a LoRA of rank 4 for every linear map of the attentions."""
    generator, weights = torch.Generator().manual_seed(2), {}
    for name, value in wan.state.items():
        if "attn" in name and value.ndim == 2:
            stem = f"diffusion_model.{name.removesuffix('.weight')}"
            weights[f"{stem}.lora_A.weight"] = torch.randn(4, value.shape[1], generator=generator) / 16
            weights[f"{stem}.lora_B.weight"] = torch.randn(value.shape[0], 4, generator=generator) / 4
    folder = Path(MODELS) / "loras"
    folder.mkdir(exist_ok=True)
    import folder_paths

    folder_paths.add_model_folder_path("loras", str(folder))
    save_file(weights, folder / "small.safetensors")
    return "small.safetensors"


def hooked(case: Case, lora: str, switch: float) -> Any:
    """The prompt with a LoRA of EDG's two strengths."""
    (early,) = CreateHookKeyframe().create_hook_keyframe(EARLY, 0.0)
    (both,) = CreateHookKeyframe().create_hook_keyframe(LATE, switch, early)
    (hooks,) = CreateHookLoraModelOnly().create_hook_model_only(lora, 1.0)
    (hooks,) = SetHookKeyframes().set_hook_keyframes(hooks, both)
    return PairConditioningSetProperties().set_properties(case.positive, case.negative, 1.0, "default", hooks=hooks)[0]


@pytest.mark.parametrize("moves", [False, True], ids=["alone", "with a motion"])
def test_a_lora_switches_where_half_of_the_noise_is_gone(case: Case, lora: str, moves: bool) -> None:
    """Start percent 0.738 at shift 5, as the preset of curves over noise does without being told."""
    steps = sigmas(case.model, 10)
    switch = next(step for step, sigma in enumerate(steps) if sigma <= 0.640)
    assert 5 < switch < 10
    motion = planned(random_adapter(case.backbone), Curve.edg())
    model = case.applied(motion) if moves else case.model
    got = sample(model, case.latent, hooked(case, lora, 0.738), steps=steps)
    parts = []
    for strength in (EARLY, LATE):
        (with_lora,) = nodes.LoraLoaderModelOnly().load_lora_model_only(case.model, lora, strength)
        constant = planned(motion.adapter, strength)
        parts.append(case.applied(constant, model=with_lora) if moves else with_lora)
    first = sample(parts[0], case.latent, case.positive, steps=steps[: switch + 1], seed=5)
    wanted = sample(parts[1], first, case.positive, steps=steps[switch:], noise=torch.zeros_like(first))
    assert error(got, wanted) < CLOSE
    assert error(sample(parts[1], case.latent, case.positive, steps=steps), wanted) > 0.01
