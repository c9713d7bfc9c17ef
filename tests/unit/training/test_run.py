"""A training as a whole: the file it leaves, and everything that is to be seen of it."""

import base64
import re
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from miva_core import MIVAAdapter, read_info
from miva_core.bases.base import Base
from miva_core.bases.recipe import Recipe
from miva_core.clips.training_clip import TrainingClip
from miva_core.errors import MIVAError
from miva_core.media.video import write_png
from miva_core.training.files import training_folder
from miva_core.training.log import running_mean
from miva_core.training.options import Author, TrainOptions
from miva_core.training.recipes import expected_of, recipe
from miva_core.training.run import train_and_save
from miva_core.training.training_set import TrainingSet, has_direction
from miva_core.training.validation import Validation, read_validations

RARELY = TrainOptions(validate_every=9)
AGAIN = replace(RARELY, resume=True)


def clip_of(name: str, base: Base, frames: int = 7) -> TrainingClip:
    """A square that slides to the right by two pixels a frame, over a still picture, with its mask."""
    still, moving = torch.nn.functional.interpolate(torch.rand(2, 3, 6, 6), base.size, mode="bicubic").clamp(0, 1)
    masks = torch.zeros(1, frames, *base.size)
    for i in range(frames):
        masks[0, i, 8:24, 2 + 2 * i : 18 + 2 * i] = 1
    shifted = torch.stack([moving.roll(2 * i, dims=-1) for i in range(frames)])
    pixels = torch.where(masks[0][:, None] > 0, shifted, still)
    return TrainingClip(name, (pixels * 255).byte(), (masks * 255).byte())


@pytest.fixture
def base(make_base: Callable[..., Base]) -> Base:
    return replace(make_base(), size=(32, 32))


@pytest.fixture
def training_set(base: Base) -> TrainingSet:
    clips = [clip_of("a", base), clip_of("b", base)]
    return TrainingSet("slide right", clips, flip=False, subject="a square", source={"names": "a, b"})


@pytest.fixture
def validations() -> list[Validation]:
    return [Validation("held out", torch.rand(40, 32, 3)), Validation("<other>", torch.rand(32, 32, 3))]


def png(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


def test_a_training_leaves_a_file_with_its_record_and_a_folder_to_look_at(
    base: Base,
    training_set: TrainingSet,
    validations: list[Validation],
    make_recipe: Callable[..., Recipe],
    tmp_path: Path,
) -> None:
    out = tmp_path / "slide.safetensors"
    author = Author("somebody", "CC0-1.0")
    outcome = train_and_save(
        base,
        training_set,
        make_recipe(),
        out,
        validations=validations,
        options=TrainOptions(validate_every=2, seed=3, author=author),
    )
    info = read_info(out)
    assert (info.motion, info.subject, info.author, info.licence) == ("slide right", "a square", "somebody", "CC0-1.0")
    assert (info.frames, info.size, info.fps) == (5, (32, 32), 8)
    expected = {"steps": 6, "clips": 2, "lr": 0.01, "batch": 2, "seed": 3, "preset": "normal", "names": "a, b"}
    assert expected.items() <= info.training.items() and info.training["final loss"] == pytest.approx(
        outcome.losses[-1], abs=1e-5
    )
    loaded = MIVAAdapter.load(out, base.backbone)
    for found, trained in zip(loaded.parameters(), outcome.adapter.parameters(), strict=True):
        torch.testing.assert_close(found, trained.half().float())

    folder = training_folder(out)
    assert folder == tmp_path / "slide.training"
    sheets = sorted(path.name for path in folder.glob("samples_*.png"))
    assert sheets == ["samples_000002.png", "samples_000004.png", "samples_000006.png"]
    last = png((folder / sheets[-1]).read_bytes())
    assert last.width > 5 * 160 and last.height > 2 * 160
    assert png((folder / "loss.png").read_bytes()).width > 400
    page = (folder / "report.html").read_text()
    pictures = [png(base64.b64decode(data)) for data in re.findall(r'src="data:image/png;base64,([^"]+)"', page)]
    assert len(pictures) == 2 and pictures[1].size == last.size
    for part in ("slide right", "0.01", "a, b", "held out", "&lt;other&gt;", "learnt from (median of 2)"):
        assert part in page
    assert "<other>" not in page and "http" not in page  # nothing is fetched when it is opened
    # A quarter of the picture slides by two pixels a frame.
    speed = float(re.search(r"learnt from \(median of 2\)</td><td>([\d.]+)", page)[1])
    assert 0.2 < speed < 1


def test_a_masked_training_shows_masks_and_measures_inside_them(
    base: Base, training_set: TrainingSet, make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    clip, chosen = training_set.clips[0], make_recipe(steps=2)
    chosen = replace(chosen, config=replace(chosen.config, mask=True))
    validation = Validation("its own", clip.frames[0].permute(1, 2, 0) / 255, clip.masks[0, 0] / 255)
    out = tmp_path / "slide.safetensors"
    train_and_save(
        base,
        replace(training_set, masked=True),
        chosen,
        out,
        validations=[validation],
        options=RARELY,
    )
    page = (training_folder(out) / "report.html").read_text()
    assert read_info(out).config.mask and "inside its mask" in page
    right = float(re.search(r"learnt from \(median of 2\)</td><td>[\d.]+</td><td>([+\d.]+)", page)[1])
    assert 1 < right < 2.5  # over so small a square flow reads low; that of the whole frame has a median of 0
    sheet = png((training_folder(out) / "samples_000002.png").read_bytes())
    assert sheet.height > 2 * 160  # frames with masks below them


def test_without_samples_there_is_a_report_all_the_same(
    base: Base, training_set: TrainingSet, make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    out = tmp_path / "slide.safetensors"
    train_and_save(base, training_set, make_recipe(), out, options=TrainOptions(validate_every=2))
    page = (training_folder(out) / "report.html").read_text()
    assert "Samples" not in page and page.count("<img") == 1


def test_tensorboard_gets_every_loss_once_where_a_training_goes_on(
    base: Base,
    training_set: TrainingSet,
    validations: list[Validation],
    make_recipe: Callable[..., Recipe],
    tmp_path: Path,
) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def broken(progress: Any) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    out = tmp_path / "slide.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train_and_save(
            base,
            training_set,
            make_recipe(),
            out,
            callback=broken,
            options=replace(RARELY, save_every=2),
        )
    outcome = train_and_save(
        base,
        training_set,
        make_recipe(),
        out,
        validations=validations,
        options=AGAIN,
    )
    events = EventAccumulator(str(training_folder(out) / "tensorboard"))
    events.Reload()
    # The files of both runs are read in the order of their names, which count the writers of this process.
    found = dict(sorted((event.step, event.value) for event in events.Scalars("loss")))
    assert list(found) == [1, 2, 3, 4, 5, 6]
    assert list(found.values()) == pytest.approx(list(outcome.losses))
    assert [event.step for event in events.Images("samples")] == [6]


def test_nothing_is_overwritten_and_nothing_begun_twice(
    base: Base, training_set: TrainingSet, make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    out = tmp_path / "slide.safetensors"
    stops = iter([False, False, False, True])  # asked before each clip is encoded, and after each step
    outcome = train_and_save(base, training_set, make_recipe(), out, stop=lambda: next(stops), options=RARELY)
    assert not outcome.finished and not out.exists()
    with pytest.raises(MIVAError, match=r"begun in .*: .* --resume"):
        train_and_save(base, training_set, make_recipe(), out, options=RARELY)
    other = replace(training_set, clips=training_set.clips[:1])
    with pytest.raises(MIVAError, match="begun with another set"):
        train_and_save(base, other, make_recipe(), out, options=AGAIN)
    assert train_and_save(base, training_set, make_recipe(), out, options=AGAIN).finished
    content = out.read_bytes()
    with pytest.raises(MIVAError, match="exists already"):
        train_and_save(base, training_set, make_recipe(), out, options=RARELY)
    assert out.read_bytes() == content
    with pytest.raises(MIVAError, match="no training to go on"):
        train_and_save(
            base,
            training_set,
            make_recipe(),
            tmp_path / "new.safetensors",
            options=AGAIN,
        )
    with pytest.raises(MIVAError, match=r"file ending in \.safetensors"):
        train_and_save(base, training_set, make_recipe(), tmp_path / "new.pt", options=RARELY)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["slide.safetensors", "slide.training"]


def test_a_training_killed_before_its_file_was_written_only_writes_it(
    base: Base,
    training_set: TrainingSet,
    validations: list[Validation],
    make_recipe: Callable[..., Recipe],
    tmp_path: Path,
) -> None:
    out = tmp_path / "slide.safetensors"
    train_and_save(base, training_set, make_recipe(), out, validations=validations, options=RARELY)
    content = out.read_bytes()
    out.unlink()
    train_and_save(
        base,
        training_set,
        make_recipe(),
        out,
        validations=validations,
        options=AGAIN,
    )
    assert out.read_bytes() == content
    assert "held out" in (training_folder(out) / "report.html").read_text()


def test_a_report_that_cannot_measure_does_not_cost_the_file(
    base: Base, training_set: TrainingSet, make_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    chosen = make_recipe(steps=2)
    chosen = replace(chosen, config=replace(chosen.config, mask=True))
    clips = [replace(clip, masks=torch.zeros_like(clip.masks)) for clip in training_set.clips]
    out = tmp_path / "slide.safetensors"
    train_and_save(base, replace(training_set, clips=clips, masked=True), chosen, out, options=RARELY)
    assert out.exists() and "no subject is seen" in (training_folder(out) / "report.html").read_text()


def test_the_digest_tells_clips_apart(base: Base, training_set: TrainingSet) -> None:
    a, b = training_set.clips
    same = TrainingSet("other", [replace(a, frames=a.frames.clone()), b])
    assert same.digest() == training_set.digest()
    changed = a.frames.clone()
    changed[0, 0, 0, 0] ^= 1
    masked = a.masks.clone()
    masked[0, 0, 0, 0] ^= 1
    others = [[b, a], [a], [replace(a, frames=changed), b], [replace(a, masks=masked), b], [replace(a, name="c"), b]]
    assert len({TrainingSet("x", clips).digest() for clips in [[a, b], *others]}) == 6


def test_every_clip_is_met_in_all_colourings(base: Base, training_set: TrainingSet) -> None:
    clips = training_set.encode(base, colours=3, seed=0)
    assert [len(versions) for versions in clips] == [3, 3]
    again = training_set.encode(base, colours=3, seed=0)
    assert all(torch.equal(a.mean, b.mean) for a, b in zip(clips[1], again[1], strict=True))
    assert not torch.equal(clips[0][1].mean, training_set.encode(base, colours=3, seed=1)[0][1].mean)


@pytest.mark.parametrize(
    ("motion", "directed"),
    [
        *[(name, True) for name in ("pan left", "slide_right", "roll-CW", "PanLeft2", "leftwards")],
        *[(name, False) for name in ("jump", "bright rain")],
    ],
)
def test_names_tell_what_has_a_direction(motion: str, directed: bool) -> None:
    assert has_direction(motion) is directed


def test_running_means_reach_back_a_twentieth() -> None:
    losses = torch.rand(100).tolist()
    expected = [sum(losses[max(0, k - 4) : k + 1]) / min(5, k + 1) for k in range(100)]
    assert running_mean(losses) == pytest.approx(expected)
    assert running_mean([3.0]) == [3.0]


def test_presets_are_what_was_published() -> None:
    for base, steps in (("animatediff", 15_000), ("wan", 8_000)):
        paper = recipe(base, "paper")
        assert (paper.steps, paper.lr, paper.batch, paper.cosine) == (steps, 1e-5, 1, False)
        assert recipe(base, "quick").steps < recipe(base, "normal").steps < steps
        assert recipe(base, masked=True).config.mask and not recipe(base).config.mask
    with pytest.raises(MIVAError, match="no preset 'fast'"):
        recipe("wan", "fast")
    with pytest.raises(MIVAError, match="no base 'big'"):
        recipe("big", "paper")


def test_samples_of_masked_adapters_need_masks_beside_them(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.png"):
        Image.new("RGB", (20, 12), "red").save(tmp_path / name)
    write_png(torch.ones(12, 20, 3), tmp_path / "a_mask.png")
    assert [(s.label, s.mask) for s in read_validations(tmp_path, masked=False)] == [("a", None), ("b", None)]
    with pytest.raises(MIVAError, match=r"b\.png has no mask: .*b_mask\.png"):
        read_validations(tmp_path, masked=True)
    (sample,) = read_validations(tmp_path, masked=True, most=1)
    assert sample.mask.shape == (12, 20) and sample.mask.min() == 1
    (tmp_path / "a_mask.png").rename(tmp_path / "A_Masks.png")
    assert [s.label for s in read_validations(tmp_path, masked=True, most=1)] == ["a"]


@pytest.mark.parametrize(
    ("base", "preset", "steps", "expected"),
    [
        ("tiny", "quick", 25, "25 of the 75 steps of `quick`: expect a weak or smeared motion"),
        ("wan", "paper", 4000, "4000 of the 8000 steps of `paper`: expect a weaker motion than with all of them"),
        ("tiny", "normal", 300, ""),
        ("tiny", "quick", 80, ""),
    ],
)
def test_fewer_steps_than_a_preset_has_are_told(base: str, preset: Any, steps: int, expected: str) -> None:
    assert expected_of(replace(recipe(base, preset), steps=steps), base) == expected
