"""What motions cannot act on, or together with, is said in one sentence before anything is sampled."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from comfyui_miva.miva_core import MIVAError
from comfyui_miva.nodes.comfy_bridge.native.host import find_host

from .adapters import planned, random_adapter
from .cases import Case
from .runs import sample, seeing, text
from .wan_models import SmallWan, wan_variant


@pytest.fixture(scope="module")
def case(wan: SmallWan) -> Case:
    return Case.of("wan", wan.model, wan.reference, wan.backbone)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "causal",
            "This Wan makes its frames one after the other, while a motion needs all of them at once: load a Wan model "
            "that is not autoregressive.",
        ),
        (
            "5b",
            "Wan 2.2 5B is not supported yet: it is shown its first frame without noise at a step of its own, and "
            "there are no motions trained that way. Load Wan 2.1, or Wan 2.2 14B.",
        ),
    ],
)
def test_wans_that_no_motion_acts_on(name: str, sentence: str) -> None:
    with pytest.raises(MIVAError) as caught:
        find_host(wan_variant(name))
    assert str(caught.value) == sentence


def test_a_wan_with_patches_of_several_frames(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case.net, "patch_size", (2, 2, 2))
    with pytest.raises(MIVAError) as caught:
        find_host(case.model)
    assert str(caught.value) == (
        "WAN21 arranges its frames in a way of its own, for which there are no motions: load Wan 2.1, or Wan 2.2 14B."
    )


@pytest.mark.parametrize(
    ("latent", "sentence"),
    [
        (
            torch.zeros(1, 16, 3, 8, 8),
            "The latent is 64×64 with 9 frames and 16 channels, but Apply MIVA was set for 96×64 with 9 frames and 16 "
            "channels: connect the latent that it gives to the sampler.",
        ),
        (
            torch.zeros(1, 16, 1, 8, 12),
            "The latent is 96×64 with 1 frame and 16 channels, but Apply MIVA was set for 96×64 with 9 frames and 16 "
            "channels: connect the latent that it gives to the sampler.",
        ),
    ],
)
def test_latents_of_another_clip(case: Case, latent: torch.Tensor, sentence: str) -> None:
    refused(case.applied(planned(random_adapter(case.backbone))), latent, case.positive, sentence)


def test_prompts_for_an_area(case: Case) -> None:
    words = text(1)[0][0]
    refused(
        case.applied(planned(random_adapter(case.backbone))),
        case.latent,
        [[words, {"area": (4, 4, 0, 0)}]],
        "A prompt is set to an area, which cuts the clip that motions need whole: use Conditioning (Set Mask).",
    )


def refused(model: Any, latent: torch.Tensor, positive: Any, sentence: str) -> None:
    with seeing(model) as seen, pytest.raises(MIVAError) as caught:
        sample(model, latent, positive, steps=1)
    assert str(caught.value) == sentence and not seen.x


def test_a_second_apply_for_another_clip(case: Case) -> None:
    motion = planned(random_adapter(case.backbone))
    earlier = case.applied(motion)
    with pytest.raises(MIVAError) as caught:
        case.applied(motion, model=earlier, frames=5)
    assert str(caught.value) == (
        "This MODEL comes from another Apply MIVA, for latents of 12×8×3, but here they are 12×8×5: set the same "
        "width, height and length in both, or put all motions into one stack."
    )
    with pytest.raises(MIVAError) as caught:
        case.applied(motion, model=earlier, picture=case.picture + 1)
    assert str(caught.value) == (
        "This MODEL comes from another Apply MIVA with another picture: connect the same picture and VAE to both, or "
        "put all motions into one stack; a clip that goes on by `previous` takes the MODEL from before that node."
    )


def test_a_model_that_is_called_outside_of_a_sampler(case: Case) -> None:
    from comfy.patcher_extension import merge_nested_dicts

    model = case.applied(planned(random_adapter(case.backbone)))
    options = {"wrappers": merge_nested_dicts({}, model.wrappers), "cond_or_uncond": [0]}
    with pytest.raises(MIVAError) as caught:
        model.model.apply_model(case.latent, torch.ones(1), c_crossattn=text(1)[0][0], transformer_options=options)
    assert str(caught.value) == (
        "A MODEL with motions was called outside of a sampler of ComfyUI: connect it to KSampler, KSampler Advanced or "
        "SamplerCustomAdvanced."
    )
