"""The training loop: it learns, leaves the base alone, stops and goes on bit for bit, and never loses a good state."""

import errno
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from miva_core.adapters.adapter import MIVAAdapter
from miva_core.bases.base import Base
from miva_core.bases.model_predictor import ModelPredictor
from miva_core.bases.recipe import Recipe
from miva_core.errors import MIVAError, MIVAWarning
from miva_core.training.denoiser import Denoiser
from miva_core.training.latent_clips import LatentClip
from miva_core.training.loop import CHECKPOINT, Outcome, TrainingProgress, draw_step, learning_rate, train
from miva_core.training.options import TrainOptions
from miva_core.training.step import TrainStep

Clips = Callable[..., list[list[LatentClip]]]


def after(steps: int) -> Callable[[], bool]:
    """Asks to stop after so many steps."""
    asked = []
    return lambda: asked.append(1) or len(asked) == steps


def values(outcome: Outcome) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in outcome.adapter.parameters()]


def equal(a: list[Tensor], b: list[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.fixture
def base(make_base: Callable[..., Base]) -> Base:
    return make_base()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_loss_falls(
    precision: Any, base: Base, make_clips: Clips, make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    clips, recipe = make_clips(base), make_recipe(steps=40, cosine=False)

    def loss(adapter: MIVAAdapter) -> float:
        """Of the same 30 steps for every adapter."""
        step = TrainStep(base, adapter, recipe)
        with torch.no_grad(), step.injected():
            return sum(step(*draw_step(clips, base, recipe, 1000 + k, 0, 1)).item() for k in range(30)) / 30

    torch.manual_seed(0)
    before = loss(MIVAAdapter(base.backbone, recipe.config))
    outcome = train(base, clips, recipe, folder=tmp_path, options=TrainOptions(precision=precision))
    assert outcome.finished and outcome.is_main_process and len(outcome.losses) == 40
    assert loss(outcome.adapter) < 0.97 * before
    assert {p.dtype for p in outcome.adapter.parameters()} == {torch.float32}


def test_processors_do_not_train_in_half_precision(
    base: Base, make_clips: Clips, make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    with pytest.raises(MIVAError, match="does not train in fp16"):
        train(base, make_clips(base), make_recipe(), folder=tmp_path, options=TrainOptions(precision="fp16"))


@pytest.mark.parametrize("name", ["animatediff", "wan"])
def test_a_base_in_bfloat16_trains_an_adapter_in_float32(
    name: str, make_base: Callable[..., Base], make_clips: Clips, make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    base = make_base(name)
    clips, recipe = make_clips(base), make_recipe(steps=3, checkpointing=True)
    full = train(base, clips, recipe, folder=tmp_path)
    kept = tuple(getattr(base.model, "_keep_in_fp32_modules", None) or ())
    base.model.bfloat16()
    for path, parameter in base.model.named_parameters():
        if any(part in path for part in kept):  # as the loaders keep it
            parameter.data = parameter.data.float()
    half = train(base, clips, recipe, folder=tmp_path, options=TrainOptions(precision="bf16"))
    assert {p.dtype for p in half.adapter.parameters()} == {torch.float32}
    assert list(half.losses) == pytest.approx(list(full.losses), rel=0.05) and half.losses != full.losses


@pytest.mark.parametrize("name", ["animatediff", "wan"])
@pytest.mark.parametrize("subjects", [0, 1])
def test_the_base_is_left_as_it_was(
    name: str,
    subjects: int,
    make_base: Callable[..., Base],
    make_clips: Clips,
    make_recipe: Callable[..., Recipe],
    tmp_path: Path,
) -> None:
    base = make_base(name)
    before = {key: value.clone() for key, value in base.model.state_dict().items()}
    modules = {key: dict(vars(module)) for key, module in base.model.named_modules()}
    clips, recipe = make_clips(base, subjects), make_recipe(steps=2, checkpointing=True)
    recipe = replace(recipe, config=replace(recipe.config, mask=bool(subjects)))
    outcome = train(base, clips, recipe, folder=tmp_path)
    assert all(math.isfinite(loss) for loss in outcome.losses)
    assert all(parameter.grad is None for parameter in base.model.parameters())
    assert all(torch.equal(value, before[key]) for key, value in base.model.state_dict().items())
    for key, module in base.model.named_modules():
        assert vars(module).keys() == modules[key].keys()
        assert getattr(module, "gradient_checkpointing", False) is False
    fresh = MIVAAdapter(base.backbone, recipe.config)
    changed = [name for name, p in outcome.adapter.named_parameters() if p.abs().sum() > 0]
    zeros = [name for name, p in fresh.named_parameters() if not p.abs().sum()]
    assert zeros and set(zeros) <= set(changed)  # what starts at zero has moved, everywhere


@pytest.mark.parametrize("stop_at", [1, 3, 5])
def test_a_stopped_training_goes_on_bit_for_bit(
    stop_at: int, base: Base, make_clips: Clips, make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    clips, recipe = make_clips(base), make_recipe(rolled_out=0.5)
    whole = train(base, clips, recipe, folder=tmp_path)
    torch.manual_seed(99)  # what else the process draws has no part in it
    stopped = train(base, clips, recipe, folder=tmp_path, stop=after(stop_at))
    assert not stopped.finished and len(stopped.losses) == stop_at
    torch.rand(7)
    resumed = train(base, clips, recipe, folder=tmp_path, options=TrainOptions(resume=True))
    assert resumed.finished and resumed.losses == whole.losses and equal(values(resumed), values(whole))


def test_a_killed_training_loses_what_came_after_its_checkpoint_alone(
    base: Base, make_clips: Clips, make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    clips, recipe = make_clips(base), make_recipe()
    whole = train(base, clips, recipe, folder=tmp_path)

    def die(progress: TrainingProgress) -> None:
        if progress.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(base, clips, recipe, folder=tmp_path, callback=die, options=TrainOptions(save_every=2))
    seen = []
    resumed = train(
        base,
        clips,
        recipe,
        folder=tmp_path,
        callback=lambda progress: seen.append(progress.step),
        options=TrainOptions(resume=True),
    )
    assert seen == [5, 6] and equal(values(resumed), values(whole))


def test_a_finished_training_is_only_read_again(
    base: Base, make_clips: Clips, make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    clips, recipe = make_clips(base), make_recipe()
    whole = train(base, clips, recipe, folder=tmp_path)
    again = train(base, clips, recipe, folder=tmp_path, options=TrainOptions(resume=True))
    assert again.finished and again.losses == whole.losses and equal(values(again), values(whole))
    with pytest.raises(MIVAError, match="has done 6 steps already"):
        train(base, clips, replace(recipe, steps=4), folder=tmp_path, options=TrainOptions(resume=True))
    longer = train(base, clips, replace(recipe, steps=8), folder=tmp_path, options=TrainOptions(resume=True))
    assert longer.losses[:6] == whole.losses and len(longer.losses) == 8


def test_the_checkpoint_holds_adapter_optimiser_and_losses_alone(
    base: Base, make_clips: Clips, make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    outcome = train(base, make_clips(base), make_recipe(), folder=tmp_path)
    with safe_open(tmp_path / CHECKPOINT, framework="pt") as file:
        keys = set(file.keys())
        assert file.get_tensor("losses").tolist() == list(outcome.losses)
    names = [name for name, _ in outcome.adapter.named_parameters()]
    expected = {"losses"} | {f"adapter.{name}" for name in names}
    expected |= {f"optimiser.adapter.{name}.{part}" for name in names for part in ("exp_avg", "exp_avg_sq", "step")}
    assert keys == expected
    assert list(tmp_path.iterdir()) == [tmp_path / CHECKPOINT]


class Breaks(nn.Module):
    """A model whose answers are no numbers any more from one call on."""

    def __init__(self, model: nn.Module, calls: int) -> None:
        super().__init__()
        self.model, self.left = model, calls

    def forward(self, *args: Any, **named: Any) -> Any:
        self.left -= 1
        answer = self.model(*args, **named)
        if self.left < 0:
            answer.sample = answer.sample * math.nan
        return answer


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_state(
    base: Base,
    make_clips: Clips,
    make_recipe: Callable[..., Recipe],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clips, recipe = make_clips(base), make_recipe()
    whole = train(base, clips, recipe, folder=tmp_path)
    (tmp_path / CHECKPOINT).unlink()
    breaking = Breaks(base.model, 5)
    denoiser = Denoiser(ModelPredictor(breaking), base.noise_process)
    monkeypatch.setattr("miva_core.training.step.Denoiser.of", lambda base: denoiser)
    with pytest.raises(
        MIVAError,
        match=r"step 6: go on .* than 0\.01",
    ):
        train(base, clips, recipe, folder=tmp_path, options=TrainOptions(save_every=2))
    monkeypatch.undo()
    resumed = train(base, clips, recipe, folder=tmp_path, options=TrainOptions(resume=True))
    assert equal(values(resumed), values(whole))


def test_a_full_disk_keeps_the_last_good_state(
    base: Base,
    make_clips: Clips,
    make_recipe: Callable[..., Recipe],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clips, recipe = make_clips(base), make_recipe()
    train(base, clips, recipe, folder=tmp_path, stop=after(2))
    good = (tmp_path / CHECKPOINT).read_bytes()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("miva_core.storage.weights.save_file", full)
    with pytest.raises(MIVAError, match="written: No space left"):
        train(base, clips, recipe, folder=tmp_path, options=TrainOptions(resume=True))
    assert (tmp_path / CHECKPOINT).read_bytes() == good and len(list(tmp_path.iterdir())) == 1


def test_what_a_training_was_begun_with_must_not_change(
    make_base: Callable[..., Base],
    make_clips: Clips,
    make_recipe: Callable[..., Recipe],
    tmp_path: Path,
    make_adapter: Callable,
) -> None:
    base, recipe = make_base(), make_recipe()
    clips = make_clips(base)
    train(base, clips, recipe, folder=tmp_path, stop=after(2), settings={"clips": "abc"})

    def resume(**changes: Any) -> None:
        arguments = {"base": base, "clips": clips, "recipe": recipe, "settings": {"clips": "abc"}} | changes
        arguments["options"] = replace(arguments.get("options", TrainOptions()), resume=True)
        train(**arguments, folder=tmp_path)

    for changes, message in (
        ({"recipe": make_recipe(batch=3)}, "begun with batch 2, not 3"),
        ({"options": TrainOptions(seed=1)}, "begun with seed 0, not 1"),
        ({"options": TrainOptions(precision="bf16")}, "begun with precision fp32, not bf16"),
        ({"settings": {"clips": "abd"}}, "begun with clips abc, not abd"),
        ({"options": TrainOptions(start=make_adapter(base.model))}, "begun without from"),
        ({"recipe": make_recipe(config=replace(recipe.config, ca_rank=7))}, "begun with ca_rank 4, not 7"),
    ):
        with pytest.raises(MIVAError, match=message):
            resume(**changes)
    other = make_base("wan")
    with pytest.raises(MIVAError, match="begun with another base"):
        resume(base=other, clips=make_clips(other))
    with pytest.warns(MIVAWarning, match=r"rate of 0\.01, .* with 0\.001") as caught:
        resume(recipe=make_recipe(lr=1e-3, steps=7))  # a way out of a loss that is no number
    assert len(caught) == 1


def test_a_checkpoint_that_is_none_is_told(
    base: Base, make_clips: Clips, make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    for content in (b"", b"garbage", b"\x08\0\0\0\0\0\0\0{}      "):
        (tmp_path / CHECKPOINT).write_bytes(content)
        with pytest.raises(MIVAError, match="holds no state"):
            train(base, make_clips(base), make_recipe(), folder=tmp_path, options=TrainOptions(resume=True))


def test_it_can_begin_with_an_adapter(
    base: Base, make_clips: Clips, make_recipe: Callable[..., Recipe], tmp_path: Path, make_adapter: Callable
) -> None:
    start = make_adapter(base.model)
    kept = [p.clone() for p in start.parameters()]
    outcome = train(base, make_clips(base), make_recipe(lr=1e-9), folder=tmp_path, options=TrainOptions(start=start))
    assert equal(kept, list(start.parameters()))
    for found, expected in zip(values(outcome), kept, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    with pytest.raises(MIVAError, match="begun with from"):
        train(base, make_clips(base), make_recipe(lr=1e-9), folder=tmp_path, options=TrainOptions(resume=True))


def test_two_masked_adapters_learn_beside_each_other(
    base: Base, make_clips: Clips, make_recipe: Callable[..., Recipe], tmp_path: Path, make_adapter: Callable
) -> None:
    recipe = make_recipe()
    recipe = replace(recipe, config=replace(recipe.config, mask=True))
    other = make_adapter(base.model, recipe.config)
    kept = [p.clone() for p in other.parameters()]
    clips = make_clips(base, subjects=2)
    outcome = train(base, clips, recipe, folder=tmp_path, partner=other)
    assert equal(kept, list(other.parameters()))  # it was copied
    changed = [not torch.equal(a, b) for a, b in zip(kept, outcome.partner.parameters(), strict=True)]
    assert all(changed)
    train(base, clips, recipe, folder=tmp_path, partner=other, stop=after(3))
    resumed = train(base, clips, recipe, folder=tmp_path, partner=other, options=TrainOptions(resume=True))
    assert equal(values(resumed), values(outcome))
    assert equal(list(resumed.partner.parameters()), list(outcome.partner.parameters()))
    without = train(base, make_clips(base, subjects=1), recipe, folder=tmp_path)
    assert without.partner is None and not equal(values(outcome), values(without))


def test_what_does_not_go_together_is_told(
    base: Base, make_clips: Clips, make_recipe: Callable[..., Recipe], tmp_path: Path, make_adapter: Callable
) -> None:
    plain, recipe = make_adapter(base.model), make_recipe()
    masked = replace(recipe, config=replace(recipe.config, mask=True))
    with pytest.raises(MIVAError, match="lacks a mask stream"):
        train(base, make_clips(base), masked, folder=tmp_path, options=TrainOptions(start=plain))
    with pytest.raises(MIVAError, match="both need a mask stream"):
        train(base, make_clips(base), recipe, folder=tmp_path, partner=plain)
    frozen = make_adapter(base.model).half().requires_grad_(False)
    outcome = train(base, make_clips(base), recipe, folder=tmp_path, options=TrainOptions(start=frozen))
    assert all(math.isfinite(loss) for loss in outcome.losses)


def test_the_rate_rises_and_falls_by_half_a_cosine(make_recipe: Callable[..., Recipe]) -> None:
    recipe = make_recipe(steps=600, lr=0.5)
    assert learning_rate(recipe, 0) == pytest.approx(0.5 / 30, rel=1e-4)
    assert learning_rate(recipe, 300) == pytest.approx(0.25)
    assert learning_rate(recipe, 599) == pytest.approx(0, abs=1e-5)
    assert max(learning_rate(recipe, step) for step in range(600)) <= 0.5
    assert {learning_rate(replace(recipe, cosine=False), step) for step in (0, 300, 599)} == {0.5}


def test_short_windows_come_twice_as_many(base: Base, make_clips: Clips, make_recipe: Callable[..., Recipe]) -> None:
    clips, recipe = make_clips(base), make_recipe(short=3)
    shapes = [draw_step(clips, base, recipe, step, 0, 1)[0].latents.shape[1:4] for step in range(6)]
    assert shapes == [(2, 4, 5), (4, 4, 2), (4, 4, 2)] * 2


def test_steps_differ_from_each_other_and_follow_from_the_seed(
    base: Base, make_clips: Clips, make_recipe: Callable[..., Recipe]
) -> None:
    clips, recipe = make_clips(base), make_recipe()
    noises = [draw_step(clips, base, recipe, step, seed, 1)[0].noise for seed in (0, 1) for step in (0, 1)]
    assert len({noise.sum().item() for noise in noises}) == 4
    assert torch.equal(draw_step(clips, base, recipe, 1, 0, 1)[0].noise, noises[1])
