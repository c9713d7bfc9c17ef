"""Masked motions on Wan: the same clip and the same masks as the engine's own run, and what a sampler may do to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from comfyui_miva.miva_core import MIVAAdapter, MIVAConfig, inject
from comfyui_miva.miva_core.animation.mask_guidance import GuidedByMasks, mask_steps
from comfyui_miva.miva_core.animation.mask_sequences import MaskStream
from comfyui_miva.miva_core.animation.readout import LinearReadout
from comfyui_miva.miva_core.bases.model_predictor import ModelPredictor
from comfyui_miva.miva_core.diffusion import loop
from comfyui_miva.miva_core.diffusion.noise_process import NoiseProcess
from comfyui_miva.miva_core.diffusion.schedulers import prepare_scheduler
from comfyui_miva.nodes.comfy_bridge.native.mask_record import MaskRecord
from comfyui_miva.nodes.comfy_bridge.native.plan import PlannedMask
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from .adapters import MASKED, SMALL, planned, random_adapter
from .cases import Case
from .runs import error, sample, text
from .wan_models import SmallWan

FRAMES, HEIGHT, WIDTH = 4, 8, 12
SEED, STEPS = 5, 10
STRENGTHS = {"p": 0.5, "plain": 0.2, "q": 0.3}
CONFIGS = {
    "default": MASKED,
    "joint": replace(MASKED, cfa_softmax="joint"),
    "no image guidance": replace(MASKED, image_guidance=False),
}


def box(top: int, bottom: int, left: int, right: int) -> Tensor:
    """(H, W) of a mask, by places of the latents."""
    mask = torch.zeros(HEIGHT * 8, WIDTH * 8)
    mask[top * 8 : bottom * 8, left * 8 : right * 8] = 1
    return mask


FIRSTS = {"p": box(0, 8, 0, 6), "q": box(2, 6, 5, 10)}


@dataclass
class Steps:
    """What a run has come to at each of its steps."""

    clips: list[Tensor] = field(default_factory=list)
    masks: list[dict[str, Tensor]] = field(default_factory=list)
    end: Tensor | None = None


class Subjects:
    """Two masked motions and a plain one on Wan, for the engine and for ComfyUI."""

    def __init__(self, wan: SmallWan, config: MIVAConfig) -> None:
        self.wan = wan
        configs = {"p": config, "plain": replace(config, mask=False), "q": config}
        self.adapters = {name: random_adapter(wan.backbone, configs[name], k) for k, name in enumerate(configs)}
        generator = torch.Generator().manual_seed(3)
        self.x1 = {name: torch.randn(1, 16, 1, HEIGHT, WIDTH, generator=generator) for name in ("clip", "p", "q")}
        weight = 0.05 * torch.randn(16, generator=generator)
        self.readouts = {"p": LinearReadout(weight, torch.tensor(0.5)), "q": LinearReadout(-weight, torch.tensor(0.5))}
        self.text = text(1, words=1)
        self.schedule = prepare_scheduler(FlowMatchEulerDiscreteScheduler(shift=5.0), STEPS)

    def by_engine(self) -> Steps:
        drawn = torch.Generator().manual_seed(SEED)
        starts = {name: torch.randn(1, 16, FRAMES, HEIGHT, WIDTH, generator=drawn) for name in ("clip", *FIRSTS)}
        process, seen = NoiseProcess(self.schedule), Steps()
        with inject(self.wan.reference, **self.adapters) as injection:
            injection.set_weights(**STRENGTHS)
            streams = {n: MaskStream(FIRSTS[n], self.x1[n], starts[n], self.readouts[n]) for n in FIRSTS}
            predictor = ModelPredictor(self.wan.reference, self.text[0][0], False, torch.float32)
            guided = GuidedByMasks(predictor, injection, process, self.schedule.timesteps, streams, mask_steps(STEPS))

            def see(step: int, steps: int, now: loop.Sampled) -> None:
                seen.clips.append(now.latents.clone())
                seen.masks.append(dict(guided.masks))

            ended = loop.sample(guided, process, self.schedule, self.x1["clip"], starts["clip"], callback=see)
        seen.end = ended.latents
        return seen

    def applied(self, record: MaskRecord | None = None, **strengths: float) -> Any:
        unscaled = self.wan.model.get_model_object("latent_format").process_out
        motions = [
            planned(adapter, (STRENGTHS | strengths)[name], name=name) for name, adapter in self.adapters.items()
        ]
        motions = [
            replace(
                motion,
                mask=PlannedMask(FIRSTS[motion.name], unscaled(self.x1[motion.name]), self.readouts[motion.name]),
            )
            if motion.name in FIRSTS
            else motion
            for motion in motions
        ]
        case = Case.of("wan", self.wan.model, self.wan.reference, self.wan.backbone)
        return case.applied(*motions, picture=unscaled(self.x1["clip"]), frames=FRAMES, record=record)

    def by_comfyui(self, **settings: Any) -> Steps:
        model, seen, runs = self.applied(), Steps(), []
        model.add_wrapper_with_key(
            "sampler_sample",
            "test",
            lambda executor, guider, *a, **k: (
                runs.append(guider.model_options["transformer_options"]["miva"]),
                executor(guider, *a, **k),
            )[1],
        )

        def see(step: int, x0: Tensor, x: Tensor, steps: int) -> None:
            seen.clips.append(x0.clone())
            seen.masks.append(dict(runs[0].mask_rows.masks))

        ended = sample(
            model,
            torch.zeros(1, 16, FRAMES, HEIGHT, WIDTH),
            self.text,
            steps=self.schedule.sigmas,
            callback=see,
            **settings,
        )
        seen.end = model.get_model_object("latent_format").process_in(ended)
        return seen


@pytest.mark.parametrize("name", CONFIGS)
def test_masked_motions_are_those_of_the_engine(wan: SmallWan, name: str) -> None:
    subjects = Subjects(wan, CONFIGS[name])
    expected, got = subjects.by_engine(), subjects.by_comfyui()
    print(
        name,
        "x0",
        [f"{error(a, b):.0e}" for a, b in zip(got.clips, expected.clips, strict=True)],
        "end",
        f"{error(got.end, expected.end):.1e}",
    )
    print(
        "masks",
        [
            f"{max((a[n] - b[n]).abs().max().item() for n in FIRSTS):.0e}"
            for a, b in zip(got.masks, expected.masks, strict=True)
        ],
    )
    assert error(got.end, expected.end) < 2e-5
