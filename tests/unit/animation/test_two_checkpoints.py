"""EDG, stage 3: a run by two checkpoints equals a run by what was learnt between them, times a curve."""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler
from torch import Tensor, nn

from miva_core import Curve, MIVAConfig, Strength, inject
from miva_core.animation.predictors import WithProgress
from miva_core.diffusion.loop import sample
from miva_core.diffusion.noise_process import NoiseProcess, Schedule
from miva_core.diffusion.predictor import Answer
from miva_core.diffusion.schedulers import prepare_scheduler

STEPS, SPREAD = 50, 0.7
GENERATOR = torch.Generator().manual_seed(0)
BEFORE, LEARNT, START = (torch.randn(1, 4, 5, 3, 3, generator=GENERATOR, dtype=torch.float64) for _ in range(3))
"""θ_pre and Δ = θ_sft - θ_pre: means of clips that two checkpoints know."""


@dataclass
class Gaussian:
    """The exact denoiser of clips around a mean, its only weights θ."""

    process: NoiseProcess
    weights: Tensor

    def predict(self, clips: Tensor, t: Tensor, step: int, /) -> Answer:
        alpha, sigma = self.process.levels(t, clips)
        noise = sigma * (clips - alpha * self.weights) / (alpha**2 * SPREAD**2 + sigma**2)
        clean = (clips - sigma * noise) / alpha.clamp(min=1e-9)
        return Answer(noise - clean if self.process.is_flow else noise)


def schedule_of(kind: str) -> tuple[Schedule, NoiseProcess]:
    if kind == "DDPM":
        scheduler = DDIMScheduler(timestep_spacing="trailing", clip_sample=False, set_alpha_to_one=False)
    else:
        scheduler = FlowMatchEulerDiscreteScheduler(shift=5.0)
    return prepare_scheduler(scheduler, STEPS), NoiseProcess(scheduler)


@pytest.mark.parametrize("kind", ["DDPM", "flow"])
def test_two_checkpoints_are_one_curve(kind: str) -> None:
    schedule, process = schedule_of(kind)
    after = BEFORE + LEARNT
    dynamic = BEFORE + 0.75 * (0.25 * (BEFORE - after))
    controlled = 1.0 * after + 0.25 * (after - BEFORE)
    # where DynamiCrafter's step 500 has that share of noise
    switch = 500 if kind == "DDPM" else 639.58
    used: list[bool] = []

    class TwoCheckpoints(Gaussian):
        def predict(self, clips: Tensor, t: Tensor, step: int, /) -> Answer:
            used.append(bool(t > switch))
            self.weights = dynamic if t > switch else controlled
            return super().predict(clips, t, step)

    wanted = sample(TwoCheckpoints(process, BEFORE), process, schedule, BEFORE[:, :, :1], START).latents
    # EDG's own steps; and percents beyond 0.738 of a schedule with shift 5
    assert sum(used) == (25 if kind == "DDPM" else round(0.738 * STEPS))

    model = Gaussian(process, BEFORE)
    strength = Strength.of(Curve.edg())

    def set_progress(done: float, noise: float) -> None:
        model.weights = BEFORE + strength.at(done, noise)[0] * LEARNT

    curved = WithProgress(model, SimpleNamespace(set_progress=set_progress), process, STEPS)
    found = sample(curved, process, schedule_of(kind)[0], BEFORE[:, :, :1], START).latents
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)
    assert (found - BEFORE).abs().max() > 0.1


def test_every_part_of_two_adapters_follows_its_own_curve(unet: nn.Module, make_adapter: Callable) -> None:
    """An adapter and its extrapolation: what acts at each of 50 steps, to the last digit."""
    small = make_adapter(unet, MIVAConfig(cfa_rank=1, ca_rank=1, ta_rank=1))
    slow = Strength(cross_frame=Curve.edg(), prompt=-0.5, temporal=Curve.more_early(2.0, 0.5))
    fast = Strength(1.25, [Curve.edg(), Curve.span(2.0, 0.0, 0.8)], Curve(((0.0, 0.0), (1.0, 1.0)), over="noise"))
    with inject(unet, slow=small, fast=small) as miva:
        miva.set_weights(slow=slow, fast=fast)
        for i, t in enumerate(range(999, 0, -20)):
            miva.set_progress(i / STEPS, 1 - t / 1000)
            edg, gone = (-0.1875 if t > 500 else 1.25), 1 - t / 1000
            wanted = [[edg, 1.25], [-0.5, edg * (2.0 if i < 40 else 0.0)], [2.0 if i < 25 else 0.5, gone]]
            assert miva.context.strengths.tolist() == wanted
