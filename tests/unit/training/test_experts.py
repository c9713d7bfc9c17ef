"""A model that shares a run with another one learns at its own timesteps alone, and the file says which it was."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_bases import small_wan

from miva_core import MIVAAdapter, read_info
from miva_core.bases.base import Base
from miva_core.bases.known import TRAINED_ON
from miva_core.bases.recipe import Recipe
from miva_core.bases.wan.releases import WAN_2_1_1_3B, WAN_2_1_14B, WAN_2_2_HIGH, WAN_2_2_LOW, Release
from miva_core.clips.training_clip import TrainingClip
from miva_core.errors import MIVAError
from miva_core.training.options import TrainOptions
from miva_core.training.run import train_and_save
from miva_core.training.training_set import TrainingSet

RARELY = TrainOptions(validate_every=99)


def training_set(masked: bool = False) -> TrainingSet:
    clips = [
        TrainingClip(
            name,
            torch.randint(0, 256, (5, 3, 16, 16), dtype=torch.uint8),
            torch.randint(0, 256, (1, 5, 16, 16), dtype=torch.uint8),
        )
        for name in "ab"
    ]
    return TrainingSet("sway", clips, masked=masked, flip=False)


def steps_met(base: Base) -> list[float]:
    """Fills with the timesteps that the model is asked at."""
    met: list[float] = []

    def note(module: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
        met.extend(arguments[1].flatten().tolist())

    base.model.register_forward_pre_hook(note, with_kwargs=True)
    return met


@pytest.mark.parametrize("masked", [False, True], ids=["plain", "masked"])
@pytest.mark.parametrize("release", [WAN_2_2_HIGH, WAN_2_2_LOW], ids=lambda release: release.name)
def test_only_its_own_timesteps_are_met(
    make_recipe: Callable[..., Recipe], tmp_path: Path, release: Release, masked: bool
) -> None:
    base = small_wan(release)
    chosen = make_recipe(steps=8, rolled_out=0.5)
    chosen = replace(chosen, config=replace(chosen.config, mask=masked))
    met = steps_met(base)
    train_and_save(base, training_set(masked), chosen, tmp_path / "sway.safetensors", options=RARELY)
    lowest, highest = (1000 * level for level in release.levels)
    # Clips that the model brings to their step itself are seen at a noisier one before.
    assert len(met) > 8 * chosen.batch
    assert lowest - 1e-3 <= min(met) and max(met) <= highest + 1e-3
    assert max(met) - min(met) > 0.4 * (highest - lowest)


@pytest.mark.parametrize("release", [WAN_2_1_1_3B, WAN_2_1_14B, WAN_2_2_HIGH], ids=lambda release: release.name)
def test_the_file_says_which_of_those_that_are_alike_it_was(
    make_recipe: Callable[..., Recipe], tmp_path: Path, release: Release
) -> None:
    out, base = tmp_path / "sway.safetensors", small_wan(release)
    train_and_save(base, training_set(), make_recipe(steps=1), out, options=RARELY)
    recorded = {} if release is WAN_2_1_1_3B else {TRAINED_ON: release.menu}
    assert {key: value for key, value in read_info(out).training.items() if key == TRAINED_ON} == recorded
    page = (tmp_path / "sway.training" / "report.html").read_text()
    assert all(f"<td>{key}</td><td>{value}</td>" in page for key, value in recorded.items())
    # Whichever it was, the others of its structure take it.
    assert MIVAAdapter.load(out, small_wan(WAN_2_2_LOW).backbone).config == make_recipe().config


def test_a_training_does_not_go_on_with_the_other_expert(make_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    out, clips, stops = tmp_path / "sway.safetensors", training_set(), iter([False, False, True])
    assert not train_and_save(
        small_wan(WAN_2_2_HIGH), clips, make_recipe(), out, stop=lambda: next(stops), options=RARELY
    ).finished
    with pytest.raises(MIVAError, match=r"begun with release Wan 2.2 14B, high noise, not Wan 2.2 14B, low noise: "):
        train_and_save(small_wan(WAN_2_2_LOW), clips, make_recipe(), out, options=replace(RARELY, resume=True))
    high = small_wan(WAN_2_2_HIGH)
    assert train_and_save(high, clips, make_recipe(), out, options=replace(RARELY, resume=True)).finished
