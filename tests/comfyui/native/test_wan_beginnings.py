"""How runs on Wan begin and end: start noise by the picture, statistics of frame 1, and what acts meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from comfyui_miva.miva_core import MIVAError, Strength
from comfyui_miva.miva_core.diffusion.init_noise import NoiseInit, adain
from comfyui_miva.nodes.noise import DCTInitNoise
from torch import Tensor

from .adapters import planned, random_adapter
from .cases import Case
from .runs import overridden, sample, sampler_custom_advanced, seeing
from .wan_models import SmallWan


@pytest.fixture(scope="module")
def case(wan: SmallWan) -> Case:
    return Case.of("wan", wan.model, wan.reference, wan.backbone)


def first_input(model: Any, case: Case, **settings: Any) -> Tensor:
    """What the network is shown first: at full noise, the start noise."""
    with seeing(model) as seen:
        sample(model, **{"latent": case.latent, "positive": case.positive, "steps": 1} | settings)
    return seen.x[0]


def test_the_samplers_noise_gets_the_low_band_of_the_picture_as_in_the_engine(case: Case) -> None:
    model = case.applied(planned(random_adapter(case.backbone)), noise=NoiseInit(strength=0.5))
    picture = model.model.process_latent_in(case.picture)
    starts = {}
    for seed in (5, 6):
        drawn = torch.Generator().manual_seed(seed)
        starts[seed] = NoiseInit(strength=0.5).start_latents(picture, case.frames, drawn)
        assert torch.equal(first_input(model, case, seed=seed), starts[seed])
    assert not torch.equal(starts[5], starts[6])


def test_noise_stays_where_it_has_the_picture_already_or_the_clip_has_begun(case: Case) -> None:
    model = case.applied(planned(random_adapter(case.backbone)), noise=NoiseInit(strength=0.5))
    plain = case.applied(planned(random_adapter(case.backbone)))
    begun = {"latent": torch.randn_like(case.latent), "steps": torch.tensor([0.6, 0.0])}
    assert torch.equal(first_input(model, case, **begun), first_input(plain, case, **begun))
    late = {"steps": torch.tensor([0.5, 0.0])}
    assert torch.equal(first_input(model, case, **late), first_input(plain, case, **late))


def test_a_connected_dct_init_noise_is_not_structured_twice(case: Case, wan_vae: Any) -> None:
    noise = DCTInitNoise(case.model, wan_vae, torch.rand(1, 64, 96, 3), NoiseInit(strength=0.5), 5, "crop")
    latent = {"samples": case.latent}
    clips = []
    for init in (NoiseInit(), None):
        model = case.applied(planned(random_adapter(case.backbone)), noise=init)
        clips.append(sampler_custom_advanced(model, latent, case.positive, noise=noise)[0]["samples"])
    assert torch.equal(*clips)


def test_adain_is_last_and_only_where_the_run_ends_without_noise(case: Case) -> None:
    motion = planned(random_adapter(case.backbone))
    plain = sample(case.applied(motion), case.latent, case.positive)
    assert torch.equal(sample(case.applied(motion, adain=True), case.latent, case.positive), adain(plain))
    unfinished = {"steps": torch.tensor([1.0, 0.8, 0.5])}
    clips = [sample(case.applied(motion, adain=on), case.latent, case.positive, **unfinished) for on in (True, False)]
    assert torch.equal(*clips)


def changed_modules(model: Any, case: Case, **settings: Any) -> list[set[str]]:
    """Kinds of modules with another `forward` in each call of the network."""
    found = []
    net = case.net
    hook = net.head.register_forward_pre_hook(
        lambda *_: found.append({name.split(".")[-2] for name in overridden(net) if name.endswith(".forward")})
    )
    try:
        sample(model, case.latent, case.positive, **settings)
    finally:
        hook.remove()
    return found


def test_what_does_not_act_is_not_installed(case: Case) -> None:
    adapter = random_adapter(case.backbone)
    model = case.applied(planned(adapter, span=(0.5, 1.0)))
    both = {"self_attn", "cross_attn", "time_embedding"}
    assert changed_modules(model, case, steps=4) == [set(), set(), both, both]
    prompts = case.applied(planned(adapter, Strength(cross_frame=0.0)))
    assert changed_modules(prompts, case, steps=1) == [{"cross_attn"}]
    frames = case.applied(planned(adapter, Strength(prompt=0.0)))
    assert changed_modules(frames, case, steps=1) == [{"self_attn", "time_embedding"}]


def test_a_motion_of_no_step_is_refused_before_sampling(case: Case) -> None:
    model = case.applied(planned(random_adapter(case.backbone), span=(0.3, 0.4), name="pan"))
    with seeing(model) as seen, pytest.raises(MIVAError) as caught:
        sample(model, case.latent, case.positive, steps=4)
    assert str(caught.value) == "The span 0.3 to 0.4 of pan holds none of the 4 steps: widen it."
    assert not seen.x
    # in a part of the steps it may rest
    sample(model, case.latent, case.positive, steps=torch.tensor([1.0, 0.98]))
