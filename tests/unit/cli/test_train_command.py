"""The commands that make and measure adapters, as a user types them, and what is told when something is wrong."""

import os
import re
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from flow_files import read_flow
from PIL import Image
from safetensors.torch import load_file
from video_files import read_at_constant_rate

from miva_core import MIVAAdapter, MIVAConfig, load_base, read_info
from miva_core.animation.clip import Clip
from miva_core.animation.frame_source import StoredFrames
from miva_core.bases.base import Base
from miva_core.bases.registry import BASES
from miva_core.bases.tiny.spec import SHIPPED
from miva_core.cli.main import main
from miva_core.clips.files import read_clips
from miva_core.clips.training_clip import ClipSpec
from miva_core.measure.metrics import clip_flow
from miva_core.media.video import write_png, write_video
from miva_core.training.step import TrainStep
from miva_core.training.training_set import TrainingSet
from miva_core.training.validation import try_on

Run = Callable[..., str]
QUICK = ("--steps", "2", "--batch", "1", "--sample-every", "9")


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base("tiny")


@pytest.fixture
def folder(tmp_path: Path, base: Base, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder a user works in: two clips with masks of their subject, and two stills with one."""
    monkeypatch.setattr("miva_core.bases.tiny.loading.load_tiny", lambda *_: base)
    monkeypatch.chdir(tmp_path)
    still = torch.nn.functional.interpolate(torch.rand(1, 3, 10, 16), (80, 128), mode="bicubic").clamp(0, 1)
    still = still[0].permute(1, 2, 0)
    for name in ("a", "b"):
        Path("clips").mkdir(exist_ok=True)
        write_video(torch.stack([still.roll(2 * i, 1) for i in range(18)]), f"clips/{name}.mp4", 8)
        masks = torch.zeros(18, 80, 128, 3)
        masks[:, 20:60, 40:90] = 1
        write_video(masks, f"clips/{name}_mask.mp4", 8)
        Path("stills").mkdir(exist_ok=True)
        write_png(still, f"stills/{name}.png")
    write_png(masks[0], "stills/a_mask.png")
    return tmp_path


def test_clips_become_an_adapter_that_animates(run: Run) -> None:
    output = run("train", "clips", "--out", "drift.safetensors", "--subject", "ship", *QUICK, "--stills", "stills")
    assert "Learning 'drift' from 2 clips, mirrored ones too, 2 steps" in output and "Wrote drift.safetensors" in output
    info = read_info("drift.safetensors")
    assert (info.motion, info.subject, info.training["names"]) == ("drift", "ship", "a, b")
    assert info.training["flip"] is True and not info.config.mask
    assert Path("drift.training/report.html").is_file()
    output = run("animate", "stills/a.png", "--miva", "drift.safetensors", "--steps", "1", "--out", "clip.gif")
    assert "Wrote clip.gif" in output


def test_fewer_steps_than_the_presets_are_told(run: Run) -> None:
    output = run("train", "clips", "--out", "drift.safetensors", *QUICK)
    assert "It learnt in 2 of the 300 steps of `normal`: expect a weak or smeared motion." in output


def interrupted(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a training tells that is stopped by Ctrl-C."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 130
    output, wrong = capfd.readouterr()
    assert "Error" not in wrong and "Traceback" not in wrong
    return output


def press(times: int) -> None:
    for _ in range(times):
        os.kill(os.getpid(), signal.SIGINT)


def test_a_stop_says_what_is_kept_and_how_to_go_on(
    folder: Path, run: Run, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("train", "clips", "--out", "drift.safetensors", *QUICK, "--steps", "3", "--save-every", "1")
    encode, step = TrainingSet._encode, TrainStep.forward
    monkeypatch.setattr(TrainingSet, "_encode", lambda *args: encode(*args) if press(1) is None else [])
    output = interrupted(capfd, *command)
    assert "No step had been saved yet, nothing is kept: begin anew by the same command." in output
    met: list[int] = []

    def press_twice(*args: Any) -> Any:
        met.append(1)
        press(2 if len(met) == 2 else 0)
        return step(*args)

    monkeypatch.setattr(TrainingSet, "_encode", encode)
    monkeypatch.setattr(TrainStep, "forward", press_twice)
    output = interrupted(capfd, *command)
    assert "A second stop ends at once, without saving what is new." in output
    assert "All up to step 1 is kept, what came after it is lost: go on by the same command and --resume." in output
    monkeypatch.setattr(TrainStep, "forward", step)
    assert main([*command, "--lr", "0.001", "--resume"]) == 0
    output, notes = capfd.readouterr()
    assert "This training had a learning rate of 0.003, and goes on with 0.001." in notes and "Wrote" in output


def test_stills_become_a_camera_motion(run: Run) -> None:
    """For a degree they are filmed at many speeds."""
    filmed = ("--film", "pan-left", "--speed", "0.5", "--degree")
    said = run("train", "stills", *filmed, "--out", "left.safetensors", *QUICK)
    assert "from 10 clips" in said  # the mask is not filmed
    known = read_info("left.safetensors").degree
    assert known.measure == "flow" and known.speeds[-1] > 3 * known.speeds[0] > 0
    assert known.usual == pytest.approx(0.75, abs=0.1) and known.speed() == pytest.approx(0.5, rel=0.15)
    training = read_info("left.safetensors").training
    assert {
        "film": "pan-left",
        "speed": 0.5,
        "easing": "linear",
        "stills": 2,
        "flip": False,
    }.items() <= training.items()


def test_a_masked_motion_learns_from_the_masks_beside_its_clips(run: Run) -> None:
    run("train", "clips", "--masked", "--motion", "drift left", "--out", "m.safetensors", *QUICK)
    info = read_info("m.safetensors")
    assert info.config.mask and info.training["flip"] is False and info.motion == "drift left"


def test_two_masked_motions_learn_beside_each_other(run: Run) -> None:
    for name in ("a", "b"):
        masks = torch.zeros(18, 80, 128, 3)
        masks[:, 5:15] = 1
        write_video(masks, f"clips/{name}_beside_mask.mp4", 8)
    options = ("--masked", "--from", "sway_masked", "--beside", "jump_masked", "--beside-out", "jump.safetensors")
    run("train", "clips", "--out", "sway.safetensors", *options, *QUICK)
    training = read_info("jump.safetensors").training
    assert training["then beside"] == "sway" and training["for steps"] == 2 and training["steps"] > 2
    assert read_info("jump.safetensors").motion == read_info(SHIPPED / "jump_masked.safetensors").motion
    sway = read_info("sway.safetensors")
    assert (sway.training["from"], sway.training["beside"]) == ("sway_masked", "jump_masked")
    for name in ("jump", "sway"):
        new, old = (load_file(path) for path in (f"{name}.safetensors", SHIPPED / f"{name}_masked.safetensors"))
        assert new.keys() == old.keys() and any(not torch.equal(new[key], old[key]) for key in new)


def test_one_clip_is_warned_of_and_flips_can_be_chosen(run: Run) -> None:
    for path in Path("clips").glob("b*"):
        path.unlink()
    output = run("train", "clips", "--out", "one.safetensors", "--no-flip", *QUICK)
    assert "One clip alone is learnt by heart" in output and read_info("one.safetensors").training["flip"] is False


def test_filmed_stills_come_with_their_exact_flow(run: Run) -> None:
    output = run("motion-clips", "stills", "--motion", "zoom-in", "--out", "zoom", "--size", "64x48", "--frames", "5")
    assert "Wrote 10 clips of zoom-in into zoom" in output
    clips = sorted(Path("zoom").glob("*.mp4"))
    assert len(clips) == 10 and len(list(Path("zoom").iterdir())) == 20
    frames, fps = read_at_constant_rate(clips[0])
    exact = read_flow(clips[0].with_name(f"{clips[0].stem}_flow.json"))
    assert frames.shape == (5, 48, 64, 3) and fps == 8 and exact.shape == (4, 48, 64, 2)
    measured = clip_flow(frames)[:, 8:-8, 8:-8]
    assert (measured * exact[:, 8:-8, 8:-8]).sum() > 0.7 * exact[:, 8:-8, 8:-8].square().sum()


def test_filmed_regions_come_with_masks_that_training_reads(run: Run) -> None:
    Path("skies").mkdir()
    pixels = torch.rand(12, 16, 3, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(96, 128)
    mask[:50] = 1
    picture = torch.nn.functional.interpolate(pixels.movedim(-1, 0)[None], (96, 128))[0]
    write_png(picture.movedim(0, -1), Path("skies/a.png"))
    write_png(mask[..., None].expand(-1, -1, 3), Path("skies/a_mask.png"))
    size = ("--size", "32x32", "--frames", "4")
    output = run("motion-clips", "skies", "--motion", "drift-left", "--out", "drift", *size)
    assert "Wrote 5 clips of drift-left into drift, each with its exact flow and masks." in output
    names = {path.name.removeprefix("a_1") for path in Path("drift").glob("a_1*")}
    assert names == {".mp4", "_mask.mp4", "_flow.json", "_maps.safetensors"}
    clips = read_clips(Path("drift"), ClipSpec((32, 32), 4, 8.0), masks=1)
    assert len(clips) == 5 and all(20 < (clip.masks[0, -1] > 127).sum() < 1000 for clip in clips)


def test_an_adapter_is_measured_on_stills(run: Run) -> None:
    output = run("evaluate", "pan_left", "--stills", "stills", "--out", "scores", "--steps", "4", "--seeds", "2")
    table = Path("scores/evaluation.md").read_text()
    for part in ("| a |", "| b |", "**median**", "temporal flickering", "motion smoothness", "MS-SSIM", "2 seeds"):
        assert part in table
    rows = [line for line in table.splitlines() if line.startswith("| **median**")]
    right = float(rows[0].split("|")[3])
    assert right > 0.2 and rows[0] in output  # what is seen goes to the right under a pan to the left
    assert "Not measured: subject consistency needs --dino" in output and "--clip" in output
    for name in ("evaluation.png", "evaluation_sheet.png"):
        assert Image.open(f"scores/{name}").width > 300


def test_stills_that_cannot_be_measured_are_left_out(
    run: Run, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of whose clips each frame is another noise."""

    def become_noise(*names: str) -> None:
        def tried(base: Base, adapter: Any, validations: Any, *more: Any) -> list[Clip]:
            (clip,), name = try_on(base, adapter, validations, *more), validations[0].label
            return [Clip(StoredFrames(torch.rand(clip.frames.shape)), clip.fps)] if name in names else [clip]

        monkeypatch.setattr("miva_core.cli.evaluate.try_on", tried)

    become_noise("b")
    output = run("evaluate", "pan_left", "--stills", "stills", "--out", "scores", "--steps", "1")
    told = "Left out, since no motion can be measured in what they became: b."
    table = Path("scores/evaluation.md").read_text()
    assert told in output and told in table and "| a |" in table and "| b |" not in table and "1 stills" not in table
    assert Path("scores/evaluation.png").exists() and Path("scores/evaluation_sheet.png").exists()
    become_noise("a", "b")
    told = "Not one still became a clip whose motion can be measured. Of a: No frame of the clip follows"
    assert main(["evaluate", "pan_left", "--stills", "stills", "--out", "more", "--steps", "1"]) == 2
    assert told in capfd.readouterr().err and not any(Path("more").iterdir())


def test_an_adapter_of_several_motions_is_measured_by_each_in_turn(run: Run) -> None:
    words = read_info(SHIPPED / "camera_words.safetensors").words
    output = run("evaluate", "camera_words", "--stills", "stills", "--out", "scores")
    assert f"| a, {words[0]} |" in output and f"| b, {words[1]} |" in output


def test_a_masked_adapter_is_measured_inside_its_mask(run: Run, fail: Run) -> None:
    Path("stills/b.png").rename("b.png")
    output = run("evaluate", "jump_masked", "--stills", "stills", "--out", "scores", "--steps", "1")
    assert "| a |" in output
    Path("b.png").rename("stills/b.png")
    assert "b.png has no mask" in fail("evaluate", "jump_masked", "--stills", "stills", "--out", "more")


@pytest.mark.usefixtures("folder")
def test_an_adapter_that_a_mask_guides_is_measured_and_trained_with_masks(fail: Run) -> None:
    _, backbone = next(BASES["miramo"].backbones())
    adapter = MIVAAdapter(backbone, MIVAConfig(cfa_rank=2, ca_rank=2, ta_rank=1, guide="mask"))
    adapter.save(Path("turn.safetensors"), adapter.info(motion="turn", frames=16, size=(64, 64), fps=8.0))
    assert "b.png has no mask" in fail("evaluate", "turn.safetensors", "--stills", "stills", "--out", "scores")
    told = fail(*TRAIN, "--base", "miramo", "--from", "turn.safetensors")
    assert told == "turn.safetensors was trained with the guide mask: add --guide mask, or take another adapter."
    told = fail(*TRAIN, "--base", "miramo", "--guide", "mask", "--from", "spiral")
    assert told.endswith("spiral.safetensors was trained with no guide: leave --guide out, or take another adapter.")


def test_what_a_mask_guides_is_measured_inside_of_it(run: Run, base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a clip that goes to the right inside of the mask by a pixel a frame, and to the left around it."""
    adapter = MIVAAdapter(base.backbone, MIVAConfig(cfa_rank=2, ca_rank=2, ta_rank=1, guide="mask"))
    adapter.save(Path("turn.safetensors"), adapter.info(motion="turn", frames=16, size=(64, 64), fps=8.0))
    Path("stills/b.png").unlink()
    ground = torch.nn.functional.interpolate(torch.rand(1, 3, 13, 13), (64, 64), mode="bicubic").clamp(0, 1)[0]
    inside = torch.zeros(64, 64, dtype=torch.bool)
    inside[17:47, 13:51] = True  # the mask of the still, cropped and scaled by 0.8, less a rim
    frames = [torch.where(inside, ground.roll(k, -1), ground.roll(-k, -1)).permute(1, 2, 0) for k in range(6)]
    clip = Clip(StoredFrames(torch.stack(frames)), 8.0)
    monkeypatch.setattr("miva_core.cli.evaluate.try_on", lambda *_: [clip])
    run("evaluate", "turn.safetensors", "--stills", "stills", "--out", "scores")
    (row,) = [line for line in Path("scores/evaluation.md").read_text().splitlines() if line.startswith("| a |")]
    assert 0.7 < float(row.split("|")[3]) < 1.2


TRAIN = ("train", "clips", "--out", "x.safetensors")
BESIDE = (*TRAIN, "--masked", "--beside", "jump_masked")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "none", "--out", "x.safetensors"), "There is no folder none of training clips"),
        (("train", "clips/a.mp4", "--out", "x.safetensors"), "is a file: name the folder"),
        (("train", "stills", "--out", "x.safetensors"), "filmed over them (--film"),
        (("train", "clips", "--film", "pan-left", "--out", "x.safetensors"), "There are no stills in clips"),
        (("train", "clips", "--out", "x.pt"), "name a file ending in .safetensors"),
        (("train", "clips", "--out", "no/x.safetensors"), "There is no folder no"),
        ((*TRAIN, "--preset", "fast"), "no preset 'fast'; known are quick, normal, paper"),
        ((*TRAIN, "--lr", "0"), "not a number above 0"),
        ((*TRAIN, "--steps", "0"), "not a whole number from 1"),
        ((*TRAIN, "--resume"), "no training to go on with"),
        ((*TRAIN, "--film", "pan"), "'pan' is no motion; nearest are pan-"),
        (("train", "stills", "--film", "pan-left", "--easing", "x", "--out", "x.safetensors"), "'x' is no easing"),
        ((*TRAIN, "--speed", "2"), "Only what is filmed has a speed"),
        (("train", "stills", "--film", "pan-left", "--masked", "--out", "x.safetensors"), "has no subject"),
        (
            (*TRAIN, "--base", "miramo", "--film", "zoom-in", "--guide", "mask"),
            "zoom-in moves the whole picture and has",
        ),
        ((*TRAIN, "--base", "miramo", "--film", "sway", "--guide", "nearness"), "sway does not go into depth"),
        ((*TRAIN, "--film", "sway", "--depth", "clips"), "sway does not go into depth, as truck and dolly do: leave"),
        (
            ("motion-clips", "stills", "--motion", "pan-left", "--depth", "stills", "--out", "x"),
            "pan-left does not go into depth",
        ),
        ((*TRAIN, "--beside", "jump_masked"), "add --masked, or leave --beside out"),
        ((*TRAIN, "--masked", "--beside", "jump_masked"), "needs both"),
        ((*BESIDE, "--beside-out", "x.safetensors"), "would be written over"),
        ((*BESIDE, "--beside-out", "y.safetensors"), "one picture for each of its 18 frames into a_beside_masks"),
        ((*TRAIN, "--masked", "--from", "jump"), "has no mask stream: leave --masked out"),
        ((*TRAIN, "--from", "jump_masked"), "has a mask stream: add --masked"),
        ((*TRAIN, "--from", "jmup"), "did you mean jump"),
        ((*TRAIN, "--from", "spiral"), "was trained on another base: add --base miramo, or take another adapter."),
        ((*TRAIN, "--base", "miramo", "--from", "jump"), "was trained on another base: add --base tiny"),
        ((*TRAIN, "--stills", "none"), "none is no folder"),
        ((*TRAIN, "--motion", "a\nb"), "expected a text of one line"),
        ((*TRAIN, "--base", "wan"), "needs a checkpoint and a vae: name the checkpoint, too"),
        ((*TRAIN, "--base", "big"), "There is no base 'big'"),
        (("motion-clips", "stills", "--motion", "pan-left", "--out", "clips"), "exists already and is not empty"),
        (("motion-clips", "stills", "--motion", "rise", "--out", "x"), "For rise each still needs a mask"),
        (
            ("motion-clips", "stills", "--motion", "dolly-in", "--depth", "none", "--out", "x"),
            "none is no folder: name",
        ),
        (("motion-clips", "stills", "--motion", "spin", "--out", "x"), "'spin' is no motion; nearest are"),
        (
            ("train", "stills", "--film", "pan-left", "--detector", "x", "--out", "x.safetensors"),
            "still_mask.png beside",
        ),
        (("motion-clips", "none", "--motion", "pan-left", "--out", "x"), "none is no folder"),
        (("motion-clips", "stills", "--motion", "pan-left", "--out", "a/b"), "There is no folder a"),
        (("motion-clips", "stills", "--motion", "roll-cw", "--size", "512x512", "--out", "x"), "Too small"),
        (("motion-clips", "stills", "--motion", "pan-left", "--size", "5x5", "--out", "x"), "out of range"),
        (("evaluate", "nothing", "--stills", "stills", "--out", "x"), "There is no adapter 'nothing'"),
        (("evaluate", "jump", "--stills", "clips", "--out", "x"), "There are no stills in clips"),
        (("evaluate", "jump", "--stills", "stills", "--out", "stills/a.png"), "is a file"),
        (("evaluate", "jump", "--stills", "stills", "--out", "x", "--dino", "none"), "holds no DINO model"),
    ],
)
def test_what_is_wrong_is_told_in_one_sentence(arguments: Sequence[str], message: str, fail: Run) -> None:
    assert message in fail(*arguments)


def test_a_file_that_exists_is_left_alone(fail: Run) -> None:
    Path("x.safetensors").write_bytes(b"mine")
    assert "exists already" in fail(*TRAIN)
    assert Path("x.safetensors").read_bytes() == b"mine"


def test_the_help_names_every_option_in_one_line_each(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    for command in ("train", "motion-clips", "evaluate"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert re.search(r"--out", capfd.readouterr().out)


@pytest.mark.parametrize("guide", [("--guide", "mask"), ("--film", "dolly-in", "--guide", "nearness")])
def test_a_base_without_a_guide_is_not_even_loaded(
    guide: Sequence[str], folder: Path, monkeypatch: pytest.MonkeyPatch, fail: Run
) -> None:
    monkeypatch.setattr("miva_core.bases.tiny.loading.load_tiny", lambda *_: pytest.fail("the base was loaded"))
    told = fail("train", "stills", *guide, "--base", "tiny", "--out", "x.safetensors")
    assert told.startswith("The tiny base takes no mask or depth map as a guide: leave it out, or choose the base mira")


def test_what_a_device_does_not_train_in_is_told_before_the_base_is_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("miva_core.bases.tiny.loading.load_tiny", lambda *_: pytest.fail("the base was loaded"))
    command = ["train", "clips", *QUICK, "--precision", "fp16", "--device", "cpu", "--out", "drift.safetensors"]
    assert main(command) == 2
    assert "does not train in fp16: take fp32" in capfd.readouterr().err
    assert not (folder / "drift.training").exists()
