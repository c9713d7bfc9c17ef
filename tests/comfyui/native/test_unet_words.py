"""Words of a motion on ComfyUI's own Stable Diffusion 1.5 against the engine's path through diffusers."""

from collections.abc import Iterator
from dataclasses import replace

import comfy.model_management
import pytest
import torch
from comfyui_miva.miva_core import inject
from comfyui_miva.nodes.comfy_bridge.native.motion_module import apply_motion_module, load_motion_module

from .adapters import SMALL, planned, random_adapter
from .cases import Case
from .runs import error, sample, seeing
from .sd15_models import SmallSD15

CLOSE = 2e-5


@pytest.fixture(scope="module")
def case(sd15: SmallSD15) -> Iterator[Case]:
    base, motion = sd15.base("v3"), load_motion_module(sd15.motion("v3"))
    yield Case.of("sd15", apply_motion_module(sd15.model, motion), base.model, base.backbone)
    comfy.model_management.unload_all_models()


def test_motions_hear_their_words_in_both_passes_of_cfg(case: Case) -> None:
    """Each its own, whatever the prompts of the passes are; one hears none."""
    config = replace(SMALL, words=True)
    adapters = {"a": random_adapter(case.backbone, config, 1), "b": random_adapter(case.backbone, config, 2)}
    adapters["c"] = random_adapter(case.backbone, SMALL, 3)
    said = {"a": case.negative[0][0][0], "b": case.positive[0][0][0, :5]}
    motions = [replace(planned(adapter, 0.4, name=name), words=said.get(name)) for name, adapter in adapters.items()]
    model = case.applied(*motions)
    with seeing(model) as seen:
        sample(model, case.latent, case.positive, case.negative, cfg=5.0, steps=1)
    clips, times = seen.x[0].unflatten(0, (-1, case.frames)).transpose(1, 2), seen.timestep[0][:: case.frames]
    assert len(clips) == 2
    outputs = []
    for texts in ({}, said):
        with inject(case.reference, **adapters) as injection, torch.no_grad():
            injection.set_weights(**dict.fromkeys(adapters, 0.4))
            injection.set_words(**texts)
            output = case.reference(clips, times, seen.context[0]).sample
            outputs.append(output.transpose(1, 2).flatten(0, 1))
    assert error(seen.output[0], outputs[1]) < CLOSE
    assert error(outputs[0], outputs[1]) > 0.01
