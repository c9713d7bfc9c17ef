"""A strength is a factor of what an adapter adds at each attention; adapters act side by side."""

from dataclasses import replace

import pytest
import torch
from calls import CLIPS, SMALL, denoise, latents, random_adapter, watched, words

from miva_core import Base, MIVAConfig, inject

EXACT = {"rtol": 1e-9, "atol": 1e-9}
JOINT = MIVAConfig(cfa_rank=2, ca_rank=3, ta_rank=1, cfa_softmax="joint")


@torch.no_grad()
def test_what_adapters_add_is_linear_in_their_strengths(precise: Base) -> None:
    """y = y_base + Σ_j w_j (y_j - y_base), at every attention, for the input that it gets in the model."""
    adapters = {"pan": random_adapter(precise), "jump": random_adapter(precise, JOINT)}
    with watched(precise) as (calls, _), inject(precise.model, **adapters) as miva:
        denoise(precise, latents(precise), words(precise))
        first = list(calls)
        assert len(first) == len(precise.backbone.sites)

        def outputs(**strengths: float) -> list[torch.Tensor]:
            miva.set_weights(**strengths)
            return [call.again() for call in first]

        base, pan, jump = outputs(pan=0, jump=0), outputs(pan=1, jump=0), outputs(pan=0, jump=1)
        for strengths in ((0.3, 0.0), (0.3, 0.7), (-0.4, 1.0), (1.7, 0.5)):
            mixed = outputs(pan=strengths[0], jump=strengths[1])
            for call, y, y0, one, other in zip(first, mixed, base, pan, jump, strict=True):
                expected = y0 + strengths[0] * (one - y0) + strengths[1] * (other - y0)
                torch.testing.assert_close(y, expected, **EXACT)
                assert not torch.allclose(one, y0, rtol=1e-3, atol=1e-3), call.site
                assert not torch.allclose(one, other, rtol=1e-3, atol=1e-3), call.site


@torch.no_grad()
def test_strength_0_is_absence(precise: Base) -> None:
    clips, text, pan, jump = latents(precise), words(precise), random_adapter(precise), random_adapter(precise)
    base = denoise(precise, clips, text)
    with inject(precise.model, pan=pan):
        alone = denoise(precise, clips, text)
    assert not torch.allclose(alone, base, rtol=1e-3, atol=1e-3)
    with inject(precise.model, pan=pan, jump=jump) as miva:
        miva.set_weights(jump=0.0)
        torch.testing.assert_close(denoise(precise, clips, text), alone, **EXACT)
        miva.set_weights(pan=0.0)
        torch.testing.assert_close(denoise(precise, clips, text), base, **EXACT)


@torch.no_grad()
def test_equal_adapters_share_their_strength(precise: Base) -> None:
    clips, pan = latents(precise), random_adapter(precise)
    with inject(precise.model, pan=pan):
        alone = denoise(precise, clips, precise.text)
    with inject(precise.model, one=pan, two=pan) as miva:
        miva.set_weights(one=0.3, two=0.7)
        torch.testing.assert_close(denoise(precise, clips, precise.text), alone, **EXACT)


@torch.no_grad()
def test_names_and_order_do_not_matter(precise: Base) -> None:
    """Adapters are grouped by config inside, which must not mix up their strengths."""
    one, two, three = random_adapter(precise), random_adapter(precise, JOINT), random_adapter(precise)
    outputs = []
    for adapters in ({"one": one, "two": two, "three": three}, {"two": two, "three": three, "one": one}):
        with inject(precise.model, **adapters) as miva:
            miva.set_weights(one=0.2, two=-0.5, three=0.9)
            assert miva.weights == {"one": 0.2, "two": -0.5, "three": 0.9}
            outputs.append(denoise(precise, latents(precise), precise.text))
    torch.testing.assert_close(*outputs, **EXACT)


@torch.no_grad()
def test_the_gate_follows_the_time(precise: Base) -> None:
    clips = latents(precise)
    with inject(precise.model, pan=random_adapter(precise)), watched(precise) as (calls, _):
        denoise(precise, clips, precise.text, t=900)
        early = [call for call in calls if call.site.kind == "sa"]
        denoise(precise, clips, precise.text, t=100)
        for call in early:
            assert not torch.allclose(call.again(), call.output)
        denoise(precise, clips, precise.text, t=900)
        for call in early:
            torch.testing.assert_close(call.again(), call.output)


@torch.no_grad()
@pytest.mark.parametrize("masked", [False, True])
def test_clips_of_a_batch_do_not_mix(precise: Base, masked: bool) -> None:
    """Nor does a clip see the mask beside it, which sees the clip."""
    clips, times, text = latents(precise), torch.tensor([100, 900]), words(precise, CLIPS)
    with inject(precise.model, pan=random_adapter(precise, replace(SMALL, mask=masked))) as miva:
        both = denoise(precise, clips, text, times)
        for k in range(CLIPS):
            one = denoise(precise, clips[k : k + 1], text[k : k + 1], times[k])
            torch.testing.assert_close(both[k : k + 1], one, **EXACT)
        if masked:
            miva.set_mask_streams(True)
            mirrored = torch.cat([clips[:1].flip(-1), clips[1:]])
            seen, other = (denoise(precise, rows, text, times[:1]) for rows in (clips, mirrored))
            torch.testing.assert_close(seen[:1], both[:1], **EXACT)
            assert not torch.allclose(seen[1:], other[1:], rtol=1e-3, atol=1e-3)
