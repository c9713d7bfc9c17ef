"""Trainings that meet each other, that were killed, and that are run again: nothing is lost, nothing done twice."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from miva_core.adapters.adapter import MIVAAdapter
from miva_core.adapters.info import read_info
from miva_core.bases.base import Base
from miva_core.bases.recipe import Recipe
from miva_core.clips.training_clip import TrainingClip
from miva_core.errors import MIVAError, MIVAWarning
from miva_core.training.files import check_start, how_to_go_on, training_folder
from miva_core.training.loop import TrainingProgress
from miva_core.training.options import TrainOptions
from miva_core.training.run import Partner, train_and_save
from miva_core.training.training_set import TrainingSet
from miva_core.training.validation import Validation

LEFT = ["slide.safetensors", "slide.training"]
RARELY = TrainOptions(validate_every=9)
AGAIN = replace(RARELY, resume=True)


@pytest.fixture
def base(make_base: Callable[..., Base]) -> Base:
    return replace(make_base(), size=(16, 16))


@pytest.fixture
def training_set(base: Base) -> TrainingSet:
    masks = torch.full((2, 5, 16, 16), 255).byte()
    clips = [TrainingClip(name, torch.randint(256, (5, 3, 16, 16)).byte(), masks) for name in "abc"]
    return TrainingSet("slide", clips)


@pytest.fixture
def chosen(make_recipe: Callable[..., Recipe]) -> Recipe:
    return make_recipe(steps=2, batch=1, colours=2)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "slide.safetensors"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def stopped_when_encoding(base: Base, training_set: TrainingSet, chosen: Recipe, out: Path, clips: int) -> None:
    """A training that is stopped after so many clips."""
    done: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        train_and_save(
            base,
            training_set,
            chosen,
            out,
            on_progress=lambda encoded, total: done.append(encoded),
            stop=lambda: len(done) == clips,
            options=RARELY,
        )


def test_a_second_training_of_a_file_is_refused_while_the_first_runs(
    base: Base, training_set: TrainingSet, chosen: Recipe, out: Path
) -> None:
    steps = []

    def meanwhile(progress: TrainingProgress) -> None:
        for resume in (False, True):
            with pytest.raises(MIVAError, match=rf"slide\.safetensors .* process {os.getpid()} on"):
                train_and_save(
                    base,
                    training_set,
                    replace(chosen, lr=1e-3),
                    out,
                    options=replace(RARELY, resume=resume),
                )
        steps.append(progress.step)

    assert train_and_save(base, training_set, chosen, out, callback=meanwhile, options=RARELY).finished
    assert steps == [1, 2] and read_info(out).training["lr"] == chosen.lr
    assert names(out.parent) == LEFT and "process.txt" not in names(training_folder(out))


def test_a_file_that_appears_meanwhile_is_left_alone_and_the_result_kept(
    base: Base, training_set: TrainingSet, chosen: Recipe, out: Path
) -> None:
    def meanwhile(progress: TrainingProgress) -> None:
        out.write_bytes(b"theirs")
        out.with_stem("slide_2").write_bytes(b"theirs")

    with pytest.raises(MIVAError, match=r"slide\.safetensors has appeared .*slide_3\.safetensors"):
        train_and_save(base, training_set, chosen, out, callback=meanwhile, options=RARELY)
    assert out.read_bytes() == out.with_stem("slide_2").read_bytes() == b"theirs"
    assert read_info(out.with_stem("slide_3")).motion == "slide"
    assert (training_folder(out) / "report.html").is_file()


def masked(chosen: Recipe) -> Recipe:
    return replace(chosen, config=replace(chosen.config, mask=True))


@pytest.fixture
def partner(base: Base, chosen: Recipe, make_adapter: Callable[..., MIVAAdapter], tmp_path: Path) -> Partner:
    adapter = make_adapter(base.model, masked(chosen).config)
    info = adapter.info(motion="hop", frames=5, size=(16, 16), fps=8, subject="frog")
    return Partner(adapter, info, tmp_path / "hop.safetensors")


def test_the_file_of_a_partner_is_guarded_alike(
    base: Base, training_set: TrainingSet, chosen: Recipe, out: Path, partner: Partner
) -> None:
    common = {"base": base, "training_set": replace(training_set, masked=True), "recipe": masked(chosen)}

    def meanwhile(progress: TrainingProgress) -> None:
        with pytest.raises(MIVAError, match=r"hop\.safetensors is being trained"):
            train_and_save(**common, out=partner.out)

    train_and_save(**common, out=out, partner=partner, callback=meanwhile)
    assert names(out.parent) == ["hop.safetensors", *LEFT]
    contents = {path: path.read_bytes() for path in (out, partner.out)}
    # Killed after any of the two files, or after both of them.
    for gone in ([partner.out], [out, partner.out]):
        for path in gone:
            path.unlink()
        (training_folder(out) / "report.html").unlink()
        check_start(out, resume=True, partner=partner.out)
        train_and_save(**common, out=out, partner=partner, options=AGAIN)
        assert {path: path.read_bytes() for path in contents} == contents
    with pytest.raises(MIVAError, match="exists already"):
        train_and_save(**common, out=out.with_name("new.safetensors"), partner=partner)


def test_a_report_that_is_missing_is_made_and_nothing_else(
    base: Base, training_set: TrainingSet, chosen: Recipe, out: Path, encoded: list[int]
) -> None:
    validations = [Validation("held out", torch.rand(16, 16, 3))]
    train_and_save(base, training_set, chosen, out, validations=validations, options=RARELY)
    report, content, changed = training_folder(out) / "report.html", out.read_bytes(), out.stat().st_mtime_ns
    page = report.read_text()
    with pytest.raises(MIVAError, match="exists already"):
        train_and_save(
            base,
            training_set,
            chosen,
            out,
            validations=validations,
            options=AGAIN,
        )
    report.unlink()
    with pytest.raises(MIVAError, match="exists already"):
        train_and_save(
            base,
            training_set,
            replace(chosen, steps=3),
            out,
            validations=validations,
            options=AGAIN,
        )
    encoded.clear()
    with pytest.raises(KeyboardInterrupt):
        train_and_save(
            base,
            training_set,
            chosen,
            out,
            validations=validations,
            stop=lambda: True,
            options=AGAIN,
        )
    check_start(out, resume=True)
    assert train_and_save(base, training_set, chosen, out, validations=validations, options=AGAIN).finished
    assert report.read_text() == page and (out.read_bytes(), out.stat().st_mtime_ns) == (content, changed)
    assert encoded == []


def test_another_file_in_the_place_of_the_result_is_no_result(
    base: Base, training_set: TrainingSet, chosen: Recipe, out: Path
) -> None:
    train_and_save(base, training_set, chosen, out, options=RARELY)
    mine = load_file(out)
    (training_folder(out) / "report.html").unlink()
    other = train_and_save(
        base, training_set, chosen, out.with_name("other.safetensors"), options=replace(RARELY, seed=1)
    ).adapter
    other.save(out, read_info(out), torch.float16)
    theirs = out.read_bytes()
    with pytest.raises(MIVAError, match=r"left alone: .*slide_2\.safetensors"):
        train_and_save(base, training_set, chosen, out, options=AGAIN)
    kept = load_file(out.with_stem("slide_2"))
    assert out.read_bytes() == theirs and all(torch.equal(kept[key], mine[key]) for key in mine)


def test_leftovers_of_a_killed_training_are_removed(
    base: Base, training_set: TrainingSet, chosen: Recipe, out: Path
) -> None:
    stopped_when_encoding(base, training_set, chosen, out, clips=1)
    folder, name = training_folder(out), ".miva-00000000-0123456789abcdef.safetensors"
    leftovers = [folder / name, folder / "encoded" / name]
    for path in leftovers:
        path.touch()
    train_and_save(base, training_set, chosen, out, options=RARELY)
    assert not [path for path in folder.rglob(".*")]


def test_clips_that_could_not_be_kept_are_not_told_to_be(
    base: Base, training_set: TrainingSet, chosen: Recipe, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("miva_core.training.kept_encodings.save_file", refuse)
    with pytest.warns(MIVAWarning, match="Encoded clips are not kept"):
        stopped_when_encoding(base, training_set, chosen, out, clips=1)
    assert how_to_go_on(out) == "No step had been saved yet, nothing is kept: begin anew by the same command."


def test_encoded_clips_are_kept_until_the_training_is_done(
    base: Base, training_set: TrainingSet, chosen: Recipe, out: Path, encoded: list[int]
) -> None:
    whole = train_and_save(base, training_set, chosen, out, options=RARELY)
    each = len(encoded) // 3
    assert each == 2 and not (training_folder(out) / "encoded").exists()
    shutil.rmtree(training_folder(out))
    out.unlink()
    encoded.clear()
    stopped_when_encoding(base, training_set, chosen, out, clips=2)
    assert len(encoded) == 2 * each and len(names(training_folder(out) / "encoded")) == 2
    assert "clips that were encoded are kept: begin anew by the same command" in how_to_go_on(out)
    steps: list[int] = []
    stop = iter([False, False, True])
    outcome = train_and_save(
        base,
        training_set,
        chosen,
        out,
        stop=lambda: next(stop),
        callback=lambda progress: steps.append(progress.step),
        options=RARELY,
    )
    assert not outcome.finished and steps == [1] and len(encoded) == 3 * each
    assert "All up to step 1 is kept" in how_to_go_on(out)
    again = train_and_save(base, training_set, chosen, out, options=AGAIN)
    assert again.losses == whole.losses and len(encoded) == 3 * each  # bit for bit, from files
    assert not (training_folder(out) / "encoded").exists()
