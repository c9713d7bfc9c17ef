"""The training of the built-in MiraMo can be broken off, and what it exports is a base."""

from pathlib import Path

import numpy as np
import pytest
import torch

from miva_core.bases.miramo.loading import load_miramo
from miva_core.bases.miramo.spec import CODEC
from miva_core.errors import MIVAError
from tools.half_precision import save_halves
from tools.miramo.losses import Losses, Step, answer, encode, losses_of
from tools.miramo.model import WordedMiraMo, build_model, export, load_codec, load_halves
from tools.miramo.training import Training, step_share
from tools.motion_world.batch import WORD_IDS
from tools.motion_world.clips import World
from tools.motion_world.drawing import Ask
from tools.motion_world.photographs import Photographs
from tools.tiny_base.training import Pace

SMALL = {
    "num_attention_heads": 1,
    "attention_head_dim": 16,
    "num_layers": 1,
    "num_cross_attention_heads": 1,
    "cross_attention_head_dim": 16,
    "cross_attention_dim": 16,
}


def world() -> World:
    pictures = [np.random.default_rng(seed).integers(0, 255, (120, 120, 3), dtype=np.uint8) for seed in range(2)]
    return World(Photographs(pictures, ["first", "second"]))


def training(steps: int = 4) -> Training:
    torch.manual_seed(3)
    model = WordedMiraMo(build_model(load_codec(), **SMALL))
    step = Step(world(), load_codec(), clips=3, frames=3)
    return Training(model, step, Pace(1e-2, 0.4, 0.9), step_share(steps))


def test_a_training_goes_on_as_if_it_had_not_been_broken_off(tmp_path: Path) -> None:
    whole, parts = training(), training()
    whole.run(tmp_path)
    broken = tmp_path / "broken"
    broken.mkdir()
    parts.run(broken, most=2)
    again = training()
    again.resume(broken / "checkpoint.pt")
    assert again.steps == 2
    again.run(broken)
    assert again.steps == whole.steps == 4
    for name, parameter in whole.model.learnt.items():
        torch.testing.assert_close(again.model.learnt[name], parameter, atol=1e-6, rtol=0, msg=name)
    for average, other in zip(whole.ema.shadow_params, again.ema.shadow_params, strict=True):
        torch.testing.assert_close(other, average, atol=1e-6, rtol=0)


def test_all_that_is_learnt_learns() -> None:
    """Every parameter gets a gradient from some step; what begins at zero, from the second one on."""
    train = training(steps=6)
    before = {name: parameter.detach().clone() for name, parameter in train.model.learnt.items()}
    for _ in range(6):
        train._advance(0.0)
    assert [name for name, value in before.items() if torch.equal(value, train.model.learnt[name])] == []


def losses_at(caption_scale: float, word: str) -> Losses:
    """Of a model whose word is the formula of the motion, times a scale."""
    codec = load_codec()
    model = WordedMiraMo(build_model(codec, **SMALL)).requires_grad_(False)
    model.words.weight.zero_()
    model.words.weight[WORD_IDS[word], 0] = caption_scale
    for map_ in (model.model.layers.camera.generator, model.model.layers.camera.amplitude):
        map_.weight.zero_()
    model.model.layers.camera.generator.weight[2, 0] = -1.0
    batch = world().batch(0, 2, (64, 64), torch.tensor([0.0, 5.0]), Ask(word, speed=1.0))
    clean = encode(codec, batch.frames)
    return losses_of(answer(model, batch, clean, torch.full((2,), 999.0)), batch, clean, model)


def test_the_loss_of_the_flow_is_its_share_of_the_motion() -> None:
    right, half, none = (losses_at(scale, "pan_left") for scale in (1.0, 0.5, 0.0))
    assert right.flow.max() < 1e-4
    # 5 pixels of motion along x, halved by the mean over x and y.
    torch.testing.assert_close(none.flow, torch.full((2,), 2.5 / 5.2), atol=1e-4, rtol=0)
    torch.testing.assert_close(half.flow, none.flow / 2, atol=1e-4, rtol=0)
    assert right.latent.mean() < 0.2 * none.latent.mean()
    assert right.mask.abs().max() == right.nearness.abs().max() == 0


def test_what_is_exported_loads_as_a_base(tmp_path: Path) -> None:
    torch.manual_seed(4)
    model = WordedMiraMo(build_model(load_codec()))
    save_halves(tmp_path / "ema.pt", list(model.learnt.values()), model.learnt)
    export(tmp_path / "ema.pt", tmp_path / "weights")
    base = load_miramo(tmp_path / "weights", CODEC)
    assert base.vocabulary is not None and base.predicts_flow and base.guided
    said = base.vocabulary.encode("dolly in, sway, shake")
    expected = model.vectors[[WORD_IDS[word] for word in ("dolly_in", "sway", "shake")]]
    torch.testing.assert_close(said, expected, atol=1e-2, rtol=0)
    clip = torch.randn(1, 32, 3, 8, 8)
    ours, loaded = (net(clip, torch.tensor([999.0]), said[None]).flow for net in (model.model, base.model))
    torch.testing.assert_close(ours, loaded, atol=1e-2, rtol=0)
    assert not (tmp_path / "weights" / "new").exists()


def test_a_base_that_lacks_a_part_says_so(tmp_path: Path) -> None:
    with pytest.raises(MIVAError, match=r"lacks .*settings\.json: install the package again"):
        load_miramo(tmp_path, CODEC)


def test_checkpoints_that_are_missing_or_of_another_model_are_refused(tmp_path: Path) -> None:
    train, larger = training(), build_model(load_codec(), **SMALL | {"num_layers": 2})
    with pytest.raises(MIVAError, match=r"no .*checkpoint\.pt to go on from: leave --resume out"):
        train.resume(tmp_path / "checkpoint.pt")
    save_halves(tmp_path / "ema.pt", list(train.model.learnt.values()), train.model.learnt)
    with pytest.raises(MIVAError, match="weights of another model"):
        load_halves(tmp_path / "ema.pt", WordedMiraMo(larger))
