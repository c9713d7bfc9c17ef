"""What of an adapter is not learnt: of a caption all but what moves the layer that its mask marks."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_bases import small_miramo
from torch import Tensor

from miva_core import MIVAAdapter, MIVAConfig
from miva_core.bases.recipe import Recipe
from miva_core.clips.training_clip import TrainingClip
from miva_core.filming.motion_clips import film_still
from miva_core.filming.shooting import Shooting
from miva_core.filming.still import Still
from miva_core.motion_fields.motions import motion_field
from miva_core.training.held_parameters import are_carried
from miva_core.training.latent_clips import LatentClip
from miva_core.training.loop import draw_step, train
from miva_core.training.options import TrainOptions
from miva_core.training.recipes import recipe
from miva_core.training.training_set import TrainingSet

HALF = 6
"""Of the caption's vectors of the small base: first of a region, then of a subject."""


def discs(centres: Sequence[tuple[float, float]], radius: float = 8.0) -> Tensor:
    """Masks (N, 48, 48) of a disc at centres (x, y)."""
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    return torch.stack([((x - left).square() + (y - top).square() <= radius**2).float() for left, top in centres])


def clip(masks: Tensor) -> list[LatentClip]:
    """A clip of which the masks alone are asked for."""
    none = torch.zeros(0)
    return [LatentClip(none, None, masks[None], none, none, none)]


@pytest.mark.parametrize(("step", "carried"), [(0.0, False), (0.2, False), (1.0, True)])
def test_a_mask_is_carried_whose_centre_goes_away(step: float, carried: bool) -> None:
    """Of five frames a disc of radius 8 is two steps away on the mean: 0, 0.05 and 0.25 of its radius."""
    moved = discs([(20 + step * k, 24.0) for k in range(5)])
    assert are_carried([clip(moved)]) == carried


def test_frames_without_what_a_mask_marks_say_nothing() -> None:
    """The centre of an empty mask would be that of the frame, far away."""
    seen = discs([(9.0, 9.0)] * 4)
    gone = torch.zeros(3, 48, 48)
    assert not are_carried([clip(torch.cat([seen, gone]))])
    assert not are_carried([clip(gone)])


def test_most_clips_decide() -> None:
    still, moved = discs([(20.0, 24.0)] * 3), discs([(20.0, 24.0), (26.0, 24.0), (32.0, 24.0)])
    assert are_carried([clip(moved), clip(still), clip(moved)])
    assert not are_carried([clip(still), clip(still), clip(moved)])


@pytest.mark.parametrize("motion", ["drift left", "flag", "jump", "slide right"])
def test_filmed_motions_are_of_their_kind(motion: str) -> None:
    picture = torch.rand(96, 96, 3, generator=torch.Generator().manual_seed(0))
    still = Still("disc", picture, torch.nn.functional.pad(discs([(24.0, 24.0)], 14.0)[0], (24, 24, 24, 24)))
    shooting = Shooting(motion, (48, 48), 16)
    filmed = film_still(still, shooting, torch.Generator().manual_seed(1))
    assert are_carried([clip(filmed.masks[0])]) == (motion_field(motion).kind == "carried")


@pytest.mark.parametrize(("speed", "first", "second"), [(0, True, False), (3, False, True)])
def test_the_layer_is_learnt_that_a_run_takes(speed: int, first: bool, second: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    base = small_miramo()
    masks = torch.zeros(1, 5, 16, 24, dtype=torch.uint8)
    for k in range(5):
        masks[0, k, 2:9, speed * k : speed * k + 5] = 255
    clips = TrainingSet("turn", [TrainingClip("a", (torch.rand(5, 3, 16, 24) * 255).byte(), masks)], guide="mask")
    outcome = train(base, clips.encode(base, 1, seed=0), short_recipe(), folder=tmp_path)
    camera, part, shake = outcome.adapter.caption.detach()
    assert not camera.any() and not shake.any()
    assert (part[:HALF].any().item(), part[HALF:].any().item()) == (first, second)


def test_without_a_guide_the_camera_alone_is_learnt(tmp_path: Path) -> None:
    torch.manual_seed(0)
    base = small_miramo()
    clips = TrainingSet("turn", [TrainingClip("a", (torch.rand(5, 3, 16, 24) * 255).byte(), torch.zeros(0, 5, 16, 24))])
    plain = replace(short_recipe(), config=replace(short_recipe().config, guide=""))
    camera, part, _ = train(base, clips.encode(base, 1, seed=0), plain, folder=tmp_path).adapter.caption.detach()
    assert camera[:HALF].any() and not camera[HALF:].any() and not part.any()


def test_what_is_begun_with_keeps_the_layer_alone_that_is_learnt(tmp_path: Path) -> None:
    """Weight decay would not leave the rest as it is, and a run might show it in place of what is learnt."""
    base = small_miramo()
    start = MIVAAdapter(base.backbone, short_recipe().config)
    torch.nn.init.ones_(start.caption)
    masks = torch.zeros(1, 5, 16, 24, dtype=torch.uint8)
    masks[..., 2:9, 2:9] = 255
    clips = TrainingSet("turn", [TrainingClip("a", torch.zeros(5, 3, 16, 24, dtype=torch.uint8), masks)], guide="mask")
    options = TrainOptions(start=start)
    outcome = train(base, clips.encode(base, 1, seed=0), short_recipe(), folder=tmp_path, options=options)
    assert (outcome.adapter.caption != 0).nonzero().tolist() == [[1, k] for k in range(HALF)]
    assert (start.caption == 1).all()


def test_under_a_mask_each_step_sees_whole_windows() -> None:
    """The way of what is inside bends late in a clip; without a mask two of three steps see the first half alone."""
    base = small_miramo()
    masks = torch.full((1, 5, 16, 24), 255, dtype=torch.uint8)
    training_set = TrainingSet("turn", [TrainingClip("a", torch.zeros(5, 3, 16, 24, dtype=torch.uint8), masks)])
    clips, plain = training_set.encode(base, 1, seed=0), recipe("miramo")

    def frames(chosen: Recipe) -> list[int]:
        return [draw_step(clips, base, chosen, step, 0, 1)[0].latents.shape[3] for step in range(3)]

    assert frames(plain) == [5, 2, 2]
    assert frames(plain.with_guide("mask")) == [5, 5, 5]


def short_recipe() -> Recipe:
    """Two steps of a small adapter under a mask."""
    small = MIVAConfig(cfa_rank=2, ca_rank=2, ta_rank=1)
    return replace(recipe("miramo"), config=small, steps=2, batch=2, short=1).with_guide("mask")
