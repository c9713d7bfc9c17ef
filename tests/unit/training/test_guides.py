"""Trainings whose base is shown, beside the clip, where something moves or how near it is."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_bases import small_animatediff, small_miramo
from torch import Tensor

from miva_core import Base, MIVAAdapter, MIVAConfig
from miva_core.bases.guide import KINDS, GuideKind
from miva_core.clips.training_clip import TrainingClip
from miva_core.errors import MIVAError
from miva_core.training.latent_clips import draw_batch
from miva_core.training.loop import train
from miva_core.training.options import TrainOptions
from miva_core.training.recipes import recipe
from miva_core.training.run import train_and_save
from miva_core.training.training_set import TrainingSet
from miva_core.training.validation import Validation, first_frames, try_on

FRAMES, HEIGHT, WIDTH = 7, 16, 24


def clip(**parts: Tensor) -> TrainingClip:
    """Noise of more frames than a window has, with a mask that moves by three pixels a frame."""
    torch.manual_seed(1)
    masks = torch.zeros(1, FRAMES, HEIGHT, WIDTH, dtype=torch.uint8)
    for k in range(FRAMES):
        masks[0, k, 2:9, 3 * k : 3 * k + 5] = 255
    return TrainingClip("a", (torch.rand(FRAMES, 3, HEIGHT, WIDTH) * 255).byte(), **{"masks": masks} | parts)


@pytest.fixture
def base() -> Base:
    torch.manual_seed(0)
    return small_miramo()


@pytest.mark.parametrize("flip", [False, True])
def test_a_window_is_guided_by_the_mask_of_its_own_first_frame(base: Base, flip: bool) -> None:
    shown, starts = clip(), set()
    versions = TrainingSet("slide", [shown], flip=flip, guide="mask").encode(base, 1, seed=0)
    wanted = [maps for mask in shown.masks[0].float() / 255 for maps in ([mask, mask.flip(-1)] if flip else [mask])]
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        guides = draw_batch(versions, 2, 5, 3, generator).guide
        assert guides.shape == (1, 2, HEIGHT, WIDTH)
        starts |= {[torch.equal(guide, one) for one in wanted].index(True) for guide in guides[0]}
    # The first three frames begin whole windows of five.
    assert starts == set(range(6 if flip else 3))


def test_nearness_is_that_of_the_first_frame(base: Base) -> None:
    near = torch.randint(256, (HEIGHT, WIDTH)).byte()
    encoded = TrainingSet("dolly", [clip(nearness=near)], guide="nearness").encode(base, 1, seed=0)
    batch = draw_batch(encoded, 1, FRAMES, FRAMES, torch.Generator())
    torch.testing.assert_close(batch.guide[0, 0], near / 255, rtol=0, atol=1e-3)


def test_without_a_guide_nothing_is_shown(base: Base) -> None:
    encoded = TrainingSet("slide", [clip()]).encode(base, 1, seed=0)
    assert draw_batch(encoded, 2, 5, 5, torch.Generator()).guide.shape == (0, 2)


def test_the_model_is_shown_it_in_every_step(base: Base, tmp_path: Path) -> None:
    """Also where the model itself brings clips to their steps. The adapter that comes of it says so."""
    seen: list[tuple[Tensor, Tensor]] = []
    base.model.register_forward_pre_hook(
        lambda model, args, kwargs: seen.append((kwargs["guide"], kwargs["guide_kind"])), with_kwargs=True
    )
    config = MIVAConfig(cfa_rank=2, ca_rank=2, ta_rank=1)
    quick = replace(recipe("miramo"), config=config, steps=2, batch=2, short=1, rolled_out=1.0).with_guide("mask")
    training_set = TrainingSet("slide", [clip()], guide="mask")
    outcome = train(base, training_set.encode(base, 1, seed=0), quick, folder=tmp_path)
    assert outcome.adapter.config.guide == "mask"
    masks = clip().masks[0].float() / 255
    assert len(seen) == 4
    for guides, kinds in seen:
        assert kinds.tolist() == 2 * [KINDS.index("mask")]
        assert all(any(torch.equal(guide, mask) for mask in masks) for guide in guides)
    assert outcome.adapter.caption.any(1).tolist() == [False, True, False]  # a mask marks what has the second slot


@pytest.mark.parametrize(
    ("base", "training_set", "message"),
    [
        (
            small_animatediff,
            TrainingSet("slide", [clip()], guide="mask"),
            "animatediff base takes no mask or depth map",
        ),
        (small_miramo, TrainingSet("slide", [clip()], masked=True, guide="mask"), "or generates one itself"),
        (small_miramo, TrainingSet("slide", [clip()], guide="nearness"), "a has no nearness, by which this motion"),
    ],
    ids=["a base without one", "a mask of its own", "clips without it"],
)
def test_what_cannot_be_guided_is_refused(
    base: Callable[[], Base], training_set: TrainingSet, message: str, tmp_path: Path
) -> None:
    with pytest.raises(MIVAError, match=message):
        train_and_save(base(), training_set, recipe("miramo"), tmp_path / "a.safetensors")
    assert not list(tmp_path.glob("*.safetensors"))


@pytest.mark.parametrize(("theirs", "now"), [("mask", ""), ("", "mask"), ("nearness", "mask")])
def test_it_goes_on_with_the_guide_that_it_began_with(
    base: Base, theirs: GuideKind, now: GuideKind, tmp_path: Path
) -> None:
    start = MIVAAdapter(base.backbone, MIVAConfig(cfa_rank=2, ca_rank=2, ta_rank=1, guide=theirs))
    learnt, out, options = (
        TrainingSet("slide", [clip()], guide=now),
        tmp_path / "a.safetensors",
        TrainOptions(start=start),
    )
    with pytest.raises(
        MIVAError, match=f"was trained with {f'the guide {theirs}' if theirs else 'no guide'}: train with"
    ):
        train_and_save(base, learnt, recipe("miramo"), out, options=options)


def test_a_picture_that_was_learnt_from_is_tried_with_what_guided_it() -> None:
    near = torch.linspace(0, 255, HEIGHT)[:, None].expand(HEIGHT, WIDTH).byte()
    all_near = torch.full((HEIGHT, WIDTH), 255, dtype=torch.uint8)
    clips = [clip(nearness=near), clip(nearness=all_near)]
    tried = first_frames(TrainingSet("dolly", clips, guide="nearness"), 2)
    torch.testing.assert_close(tried[0].nearness, near / 255, rtol=0, atol=0)
    assert tried[1].nearness is None  # a run takes no depth map that is flat
    assert [one.mask for one in tried] == [None, None]
    (by_mask,) = first_frames(TrainingSet("slide", clips[:1], guide="mask"), 1)
    assert by_mask.nearness is None and torch.equal(by_mask.mask, clips[0].masks[0, 0] / 255)


def test_nearness_is_shown_to_what_is_tried(base: Base) -> None:
    seen: list[Tensor] = []
    base.model.register_forward_pre_hook(
        lambda model, args, kwargs: seen.append(kwargs["guide"]) if "guide" in kwargs else None, with_kwargs=True
    )
    near = torch.linspace(0, 1, HEIGHT)[:, None].expand(HEIGHT, WIDTH)
    adapter = MIVAAdapter(base.backbone, MIVAConfig(cfa_rank=2, ca_rank=2, ta_rank=1, guide="nearness"))
    try_on(base, adapter, [Validation("a", torch.rand(HEIGHT, WIDTH, 3), nearness=near)], steps=1)
    assert seen and all(guide[0].amin() < 0.1 and guide[0].amax() > 0.9 for guide in seen)
