"""A degree changes nothing until it is learnt; then it is heard, in runs and in training."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from calls import (
    DEGREES,
    SMALL,
    Step,
    clip_frames,
    denoise,
    latents,
    quick_recipe,
    random_adapter,
    run,
    sliding_squares,
    words,
)
from torch import Tensor

from miva_core import Base, MIVAAdapter, Motion, RunOptions, animate, inject
from miva_core.errors import MIVAError
from miva_core.training.loop import train

WITH_DEGREE = replace(SMALL, degree=True)


def answered(base: Base, u: float | None, **adapters: MIVAAdapter) -> Tensor:
    """What the network answers where the adapter `a` is at a degree u, or has none."""
    with torch.no_grad(), inject(base.model, **adapters) as miva:
        if u is not None:
            miva.set_degrees(a=u)
        return denoise(base, latents(base), words(base))


def test_an_untrained_degree_changes_no_bit(base: Base) -> None:
    adapter = random_adapter(base)
    plain = answered(base, None, a=adapter)
    for u in (-1.0, 0.3, 1.0):
        assert torch.equal(answered(base, u, a=adapter.with_degree()), plain)


def test_beside_it_adapters_without_one_stay_as_they_are(base: Base) -> None:
    """With its strength at 0 nothing of it is left."""
    other, glide = random_adapter(base), random_adapter(base, WITH_DEGREE)
    with torch.no_grad(), inject(base.model, other=other, a=glide) as miva:
        miva.set_weights(a=0.0)
        miva.set_degrees(a=0.8)
        beside = denoise(base, latents(base), words(base))
    torch.testing.assert_close(beside, answered(base, None, other=other), rtol=1e-4, atol=1e-4)


def test_as_trained_is_the_usual_degree(base: Base, picture: Tensor) -> None:
    """And a file keeps it."""
    adapter = random_adapter(base, WITH_DEGREE)
    options = RunOptions(steps=2, adain=False, render="latents", frames=clip_frames(base))
    usual, asked, slow = (
        animate(base, picture, [Motion(adapter, degree=degree)], options).frames for degree in (None, 0.7, 0.0)
    )
    assert torch.equal(usual, asked) and not torch.equal(usual, slow)
    assert torch.equal(run(base, picture, {"a": (adapter, 1.0)}).frames, usual)


def test_a_training_learns_it_from_clips_of_two_speeds(base: Base, tmp_path: Path) -> None:
    base = replace(base, frames=clip_frames(base))
    chosen = quick_recipe(base, WITH_DEGREE)
    outcome = train(base, sliding_squares(base, False), chosen, folder=tmp_path, degree=DEGREES)
    assert outcome.adapter.degree == DEGREES
    for site in base.backbone.sites:
        if site.kind == "ca":
            assert outcome.adapter.site(site)["ca"].degree.any()


def test_each_clip_is_at_its_own_degree_while_it_learns(base: Base) -> None:
    """By the bucket, of 20 from -1 to 1, that its motion falls into."""
    base = replace(base, frames=clip_frames(base))
    with Step(base, random_adapter(base, WITH_DEGREE)) as step:
        step.loss().backward()
        heard = step.injection.context.degrees[0]
    buckets = {0.2: 1, 1.2: 11}
    wanted = [2 * buckets[round(amount, 3)] / 19 - 1 for amount in step.batch.motion[0].tolist()]
    torch.testing.assert_close(heard.double(), torch.tensor(wanted).double(), atol=1e-6, rtol=0)


def test_degrees_of_other_clips_are_refused(base: Base) -> None:
    clips = len(latents(base))
    with torch.no_grad(), inject(base.model, a=random_adapter(base, WITH_DEGREE)) as miva:
        with pytest.raises(MIVAError, match="expected a number from -1 to 1, or one a clip"):
            miva.set_degrees(a=torch.zeros(1, clips))
        miva.set_degrees(a=torch.zeros(clips + 1))
        with pytest.raises(MIVAError, match=f"set for {clips + 1} clips, but the batch has {clips}: call set_degrees"):
            denoise(base, latents(base), words(base))


@pytest.mark.parametrize(
    ("degree", "message"),
    [(1.5, "The degree of pan is 1.5, expected a number from 0, its slowest motion, to 1"), ("fast", "expected")],
)
def test_no_degree(base: Base, degree: object, message: str) -> None:
    with pytest.raises(MIVAError, match=message):
        Motion(random_adapter(base, WITH_DEGREE), name="pan", degree=degree)
    with pytest.raises(MIVAError, match="pan was trained without a degree"):
        Motion(random_adapter(base), name="pan", degree=0.5)
