"""Several motions in one training, each by its words: every clip is met under its own, and the file says which."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from miva_core import MIVAAdapter, read_info
from miva_core.bases.base import Base
from miva_core.bases.recipe import Recipe
from miva_core.bases.vocabulary import Vocabulary
from miva_core.clips.training_clip import TrainingClip
from miva_core.errors import MIVAError
from miva_core.training.latent_clips import LatentClip
from miva_core.training.loop import draw_step
from miva_core.training.options import TrainOptions
from miva_core.training.run import train_and_save
from miva_core.training.step import TrainStep
from miva_core.training.training_set import TrainingSet
from miva_core.training.validation import Validation, first_frames, in_words


@pytest.mark.parametrize("masked", [False, True])
def test_each_clip_is_learnt_under_its_own_words(
    masked: bool,
    make_base: Callable[..., Base],
    make_clips: Callable[..., list[list[LatentClip]]],
    make_recipe: Callable[..., Recipe],
    make_adapter: Callable,
) -> None:
    """The loss of a batch is the mean of that of its clips one by one, also where the model brings it to its step."""
    base, recipe = make_base(), make_recipe(batch=4, rolled_out=0.5)
    config = replace(recipe.config, words=True, mask=masked)
    adapter = make_adapter(base.model, config)
    clips = [
        [replace(clip, words=torch.randn(2, 16)) for clip in one] for one in make_clips(base, subjects=int(masked))
    ]
    batch, draws = draw_step(clips, base, recipe, 0, 0, 1)
    draws = draws._replace(rolled_out=torch.tensor([True, False, False, True]))
    step = TrainStep(base, adapter, replace(recipe, config=config))
    with step.injected():
        whole = step(batch, draws)
        whole.backward()
        alone = []
        for k in range(4):
            one = type(batch)(*(tensor[:, k : k + 1] for tensor in batch))
            alone.append(step(one, type(draws)(*(drawn[..., k : k + 1] for drawn in draws))))
        torch.testing.assert_close(whole, torch.stack(alone).mean())
        assert (step(batch._replace(words=batch.words.flip(1)), draws) - whole).abs() > 1e-4
    assert adapter.words.queries.grad.abs().max() > 0


def clip(name: str, words: str) -> TrainingClip:
    return TrainingClip(name, (torch.rand(5, 3, 12, 16) * 255).byte(), torch.zeros(0, 5, 12, 16).byte(), words=words)


@pytest.fixture
def base(make_base: Callable[..., Base]) -> Base:
    said = {"camera pan_left": torch.randn(16), "camera zoom_in": torch.randn(16)}
    return replace(make_base(), vocabulary=Vocabulary(("camera", "subject"), said))


RARELY = TrainOptions(validate_every=9)
CLIPS = [clip("a", "pan left"), clip("b", "zoom in"), clip("c", "pan left")]


def test_the_file_says_what_it_has_learnt(base: Base, make_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    out, training_set = tmp_path / "camera.safetensors", TrainingSet("camera", CLIPS)
    tried = in_words([Validation(f"still {k}", torch.rand(12, 16, 3)) for k in range(3)], training_set.words)
    assert [one.words for one in tried] == ["pan left", "zoom in", "pan left"] and "zoom in" in tried[1].label
    train_and_save(base, training_set, make_recipe(steps=2), out, options=RARELY, validations=tried)
    info, adapter = read_info(out), MIVAAdapter.load(out, base.backbone)
    assert info.config.words and info.words == adapter.known_words == ("pan left", "zoom in")
    assert 'format_version": 2' in info.to_json()
    assert (tmp_path / "camera.training" / "report.html").is_file()


def test_first_frames_of_clips_are_tried_with_their_own_words() -> None:
    training_set = TrainingSet("camera", [CLIPS[0], CLIPS[2], CLIPS[1]])
    tried = in_words(first_frames(training_set, 3), training_set.words)
    assert [(one.label, one.words) for one in tried] == [
        ("a, learnt from, pan left", "pan left"),
        ("c, learnt from, pan left", "pan left"),
        ("b, learnt from, zoom in", "zoom in"),
    ]


def test_what_cannot_be_learnt_is_refused_before_anything_is(
    base: Base, make_recipe: Callable[..., Recipe], make_adapter: Callable, tmp_path: Path
) -> None:
    def refused(match: str, chosen: Base = base, clips: list[TrainingClip] = CLIPS, **options: MIVAAdapter) -> None:
        with pytest.raises(MIVAError, match=match):
            train_and_save(
                chosen,
                TrainingSet("camera", clips),
                make_recipe(),
                tmp_path / "camera.safetensors",
                options=replace(RARELY, **options),
            )

    refused("these have none: d", clips=[*CLIPS, clip("d", "")])
    refused("d: 'pan lefft' is unknown to this base; the nearest.* pan left", clips=[clip("d", "pan lefft")])
    refused("runs without its text encoder", chosen=replace(base, vocabulary=None))
    refused("hears no words", start=make_adapter(base.model))
