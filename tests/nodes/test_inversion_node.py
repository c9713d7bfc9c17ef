"""Inversion Noise: what it refuses before anything is loaded, and the NOISE that it gives."""

import math
from typing import Any

import pytest
import torch
from comfyui_miva.miva_core.errors import MIVAError
from comfyui_miva.nodes import MIVAInversionNoise
from comfyui_miva.nodes.comfy_bridge.native.plan import STRUCTURED
from comfyui_miva.nodes.inversion_noise import InversionNoise
from fake_native import sd15, wan
from node_runs import run
from torch import Tensor

FALLING = torch.tensor([1.0, 0.7, 0.3, 0.0])
CLIP = torch.ones(1, 16, 3, 8, 12)


def refusal(model: Any = None, samples: Tensor = CLIP, sigmas: Tensor = FALLING) -> str:
    prompt = [[torch.zeros(1, 7, 4096), {}]]
    with pytest.raises(MIVAError) as raised:
        run(MIVAInversionNoise, model=model or wan(), positive=prompt, latent={"samples": samples}, sigmas=sigmas)
    return str(raised.value)


def test_a_model_without_a_flow_is_refused() -> None:
    assert refusal(sd15()) == (
        "Inversion Noise goes back along the flow of a model such as Wan, but this MODEL is SD15, which has none: "
        "connect a flow model."
    )


@pytest.mark.parametrize("shape", [(3, 4, 8, 12), (1, 4, 3, 8, 12), (1, 16, 8, 12)])
def test_a_latent_of_another_model_is_refused(shape: tuple[int, ...]) -> None:
    assert refusal(samples=torch.ones(shape)).startswith(f"`latent` has the shape {shape}, which is no latent of this")


def test_an_empty_latent_is_refused() -> None:
    assert refusal(samples=torch.zeros_like(CLIP)) == (
        "`latent` is empty: connect VAE Encode with the frames to go back from."
    )


@pytest.mark.parametrize(
    ("sigmas", "told"),
    [
        (FALLING.flip(0), "0, 0.3, 0.7 …"),
        (FALLING[:2], "1, 0.7"),
        (FALLING[:0], ""),
        (torch.tensor([14.6, 2.0, 0.0]), "14.6, 2, 0"),
        (torch.tensor([1.0, math.nan, 0.0]), "1, nan, 0"),
    ],
)
def test_what_is_no_whole_schedule_is_refused(sigmas: Tensor, told: str) -> None:
    assert refusal(sigmas=sigmas) == (
        f"The SIGMAS ({told}) must fall from 1 or less to 0, as a flow model's do: connect a whole schedule, neither "
        "split nor flipped."
    )


def test_it_gives_its_noise_to_latents_of_the_same_size() -> None:
    found = torch.randn(CLIP.shape)
    noise = InversionNoise(found)
    given = noise.generate_noise({"samples": torch.zeros(CLIP.shape, dtype=torch.float16)})
    assert torch.equal(given, found.half()) and getattr(given, STRUCTURED)
    given += 1
    assert torch.equal(noise.generate_noise({"samples": CLIP}), found)


def test_latents_of_another_size_are_refused() -> None:
    with pytest.raises(MIVAError) as raised:
        InversionNoise(CLIP).generate_noise({"samples": torch.zeros(1, 16, 5, 8, 12)})
    assert str(raised.value) == (
        "Inversion Noise was made of a latent of (1, 16, 3, 8, 12), but the sampler's is (1, 16, 5, 8, 12): give both "
        "the same size and length."
    )
