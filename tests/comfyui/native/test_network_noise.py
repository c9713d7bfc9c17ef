"""Noise as networks see it, by the levels of ComfyUI's samplers: what the engine computes by a scheduler's steps."""

from typing import Any

import pytest
import torch
from comfy.model_sampling import CONST, EPS, V_PREDICTION, ModelSamplingDiscrete, ModelSamplingDiscreteFlow
from comfyui_miva.miva_core.diffusion.noise_process import NoiseProcess
from comfyui_miva.nodes.comfy_bridge.native.network_noise import NetworkNoise
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler
from torch import Tensor


class Epsilon(ModelSamplingDiscrete, EPS):
    pass


class Velocity(ModelSamplingDiscrete, V_PREDICTION):
    pass


class Flow(ModelSamplingDiscreteFlow, CONST):
    pass


def process(kind: type) -> NoiseProcess:
    if kind is Flow:
        return NoiseProcess(FlowMatchEulerDiscreteScheduler())
    prediction = "epsilon" if kind is Epsilon else "v_prediction"
    betas: dict[str, Any] = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
    return NoiseProcess(DDIMScheduler(**betas, prediction_type=prediction))


def level(kind: type, sampling: Any, t: int) -> Tensor:
    return torch.tensor(t / 1000, dtype=torch.float64) if kind is Flow else sampling.sigmas[t].double()


@pytest.mark.parametrize("kind", [Epsilon, Velocity, Flow])
def test_latents_are_cleaned_and_moved_as_by_the_engine(kind: type) -> None:
    sampling = kind()
    noise, expected = NetworkNoise(sampling), process(kind)
    output, noisy = torch.randn(2, 4, 3, 6, 8), torch.randn(2, 4, 3, 6, 8)
    for t, to in ((999, 700), (501, 37)):
        clean = noise.clean(output, noisy, level(kind, sampling, t))
        by_engine = expected.clean(output, noisy, torch.tensor(t))
        torch.testing.assert_close(clean, by_engine, rtol=2e-5, atol=2e-5 * by_engine.abs().max().item())
        moved = noise.move(clean, noisy, level(kind, sampling, t), level(kind, sampling, to))
        torch.testing.assert_close(
            moved, expected.move(by_engine, noisy, torch.tensor(t), torch.tensor(to)), rtol=1e-4, atol=1e-4
        )
        told = noise.timestep(level(kind, sampling, t).float().expand(2))
        torch.testing.assert_close(told, torch.full((2,), float(t)))
