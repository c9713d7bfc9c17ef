"""The command that finds subjects, and training on clips whose masks it finds."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from subject_models import DETECTOR, SEGMENTER, overlap, scene
from torch import Tensor

from miva_core import MIVAError, load_base
from miva_core.cli.main import main
from miva_core.clips.files import read_clips
from miva_core.clips.training_clip import ClipSpec
from miva_core.media.pictures import read_mask, read_picture
from miva_core.media.video import write_png, write_video
from miva_core.subject_mask.subjects import Subjects
from miva_core.training.validation import read_validations
from tools.shapes import boxes_of

MODELS = ("--detector", str(DETECTOR), "--segmenter", str(SEGMENTER))
Run = Callable[..., str]


def test_a_picture(run: Run) -> None:
    shown = scene(21)
    write_png(shown.frames[0], "photo.png")
    run("mask", "photo.png", "--prompt", ". ".join(shown.names), *MODELS, "--out", "masks")
    names = [name.replace(" ", "_") for name in shown.names]
    assert sorted(path.name for path in Path("masks").iterdir()) == sorted(
        [*(f"{name}.png" for name in names), "overlay.png", "boxes.json"]
    )
    for name, truth in zip(names, shown.masks[:, 0], strict=True):
        assert overlap(read_mask(f"masks/{name}.png"), truth) > 0.7
    found = json.loads(Path("masks/boxes.json").read_text("utf-8"))["subjects"]
    assert [subject["label"] for subject in found] == shown.names
    for subject, truth in zip(found, shown.masks[:, 0], strict=True):
        (frame,) = subject["frames"]
        assert frame["boxes"][0]["box"] == pytest.approx(boxes_of(truth[None])[0].tolist(), abs=6)
        assert 0.3 <= frame["boxes"][0]["score"] <= 1
    seen = read_picture("masks/overlay.png")
    assert seen.shape == (96, 128, 3)
    # Below all subjects, and so below boxes and names, the picture is as it was.
    lowest = int(boxes_of(shown.masks[:, 0])[:, 3].max()) + 6
    assert lowest < 90
    assert (seen - shown.frames[0]).abs()[lowest:].max() < 0.01
    covered = shown.masks[0, 0] > 0.5
    assert (seen - shown.frames[0]).abs()[covered].mean() > 0.05


def test_a_clip_and_changes_of_its_masks(run: Run) -> None:
    shown = scene(22, frames=4)
    Path("frames").mkdir()
    for k, frame in enumerate(shown.frames):
        write_png(frame, f"frames/{k}.png")
    box = ",".join(f"{edge:g}" for edge in boxes_of(shown.masks[:1, 0])[0].tolist())
    run("mask", "frames", "--box", box, *MODELS[2:], "--out", "plain")
    plain = torch.stack([read_mask(f"plain/subject_1_masks/{k:05d}.png") for k in range(4)])
    assert overlap(plain, shown.masks[0]).min() > 0.7
    assert len(list(Path("plain/subject_1_masks").iterdir())) == 4
    run("mask", "frames", "--box", box, *MODELS[2:], "--out", "edited", "--grow", "2", "--invert")
    edited = torch.stack([read_mask(f"edited/subject_1_masks/{k:05d}.png") for k in range(4)])
    assert ((1 - edited) >= plain).all()
    assert (1 - edited).sum() > plain.sum()


def test_points_and_rough_masks_and_grabcut(run: Run) -> None:
    shown = scene(27)
    write_png(shown.frames[0], "photo.png")
    truth = shown.masks[:, 0]
    for k, mask in enumerate(truth):
        write_png(mask[..., None].expand(-1, -1, 3).contiguous(), f"rough{k}.png")
    middles = [mask.nonzero().float().mean(0).tolist() for mask in truth]
    points = [f"{x:.1f},{y:.1f}" for y, x in middles]
    run("mask", "photo.png", "--points", points[0], "--points", points[1], *MODELS[2:], "--out", "clicked")
    run("mask", "photo.png", "--rough", "rough0.png", "--rough", "rough1.png", *MODELS[2:], "--out", "refined")
    run("mask", "photo.png", "--rough", "rough0.png", "--grabcut", "--out", "cut")
    for name in ("clicked", "refined"):
        found = torch.stack([read_mask(f"{name}/subject_{k}.png") for k in (1, 2)])
        assert overlap(found, truth).min() > 0.7
    assert overlap(read_mask("cut/subject_1.png"), truth[0]) > 0.7
    assert json.loads(Path("cut/boxes.json").read_text("utf-8")) == {"subjects": [{"label": "subject 1", "frames": []}]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "Say what to mask either by words (--prompt) or by --box, --points or --rough."),
        (
            ("--prompt", "horse", "--box", "0,0,9,9"),
            "Say what to mask either by words (--prompt) or by --box, --points or --rough.",
        ),
        (("--prompt", "horse"), "No model is named to do this: add --detector FILE."),
        (
            ("--box", "0,0,9,9"),
            "No model is named to do this: add --segmenter FILE, or add --grabcut, which needs no model.",
        ),
        (("--prompt", "horse", "--grabcut"), "GrabCut starts from --box or from --rough, and from nothing else."),
        (
            ("--box", "0,0,9"),
            "Argument --box: '0,0,9' is not left,top,right,bottom in pixels (`python -m miva_core mask --help` shows "
            "the usage).",
        ),
        (
            ("--points", "4;5"),
            "Argument --points: '4;5' is not X,Y in pixels, or X,Y,0 for a point beside the subject "
            "(`python -m miva_core mask --help` shows the usage).",
        ),
        (
            ("--box", "0,0,20,20", *MODELS[2:], "--key-frame", "3"),
            "There is no key frame 3 in a single picture, which is frame 0.",
        ),
        (
            ("--box", "0,0,9,9", *MODELS[2:], "--per-subject", "2"),
            "--per-subject is of no use without --prompt: leave it out.",
        ),
        (
            ("--prompt", "red circle", *MODELS, "--every-frame", "--key-frame", "2"),
            "--key-frame is of no use with --every-frame: leave it out.",
        ),
        (("--box", "0,0,9,9", "--grabcut", "--no-overlap"), "--no-overlap is of no use with --grabcut: leave it out."),
        (
            ("--box", "0,0,9,9", *MODELS[2:], "--confidence", "0"),
            "--confidence is of no use without --prompt: leave it out.",
        ),
        (("--box", "0,0,9,9", *MODELS), "--detector is of no use without --prompt: leave it out."),
        (
            ("--points", "1.2.3,4"),
            "Argument --points: '1.2.3,4' is not X,Y in pixels, or X,Y,0 for a point beside the subject "
            "(`python -m miva_core mask --help` shows the usage).",
        ),
        (
            ("--prompt", "red circle", *MODELS, "--rough", "a.png"),
            "Say what to mask either by words (--prompt) or by --box, --points or --rough.",
        ),
    ],
)
def test_what_cannot_be_done_is_told(options: tuple[str, ...], message: str, fail: Run) -> None:
    write_png(scene(28).frames[0], "photo.png")
    assert fail("mask", "photo.png", *options, "--out", "masks") == message


def test_animations_are_clips_and_pictures_are_known_by_their_content(
    run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    shown = scene(22, frames=3)
    box = ",".join(f"{edge:g}" for edge in boxes_of(shown.masks[:1, 0])[0].tolist())
    for ending in ("webp", "gif"):
        write_video(shown.frames, f"clip.{ending}", 8)
        run("mask", f"clip.{ending}", "--box", box, *MODELS[2:], "--out", ending)
        assert len(list(Path(ending, "subject_1_masks").iterdir())) == 3
    Path("half.webp").write_bytes(Path("clip.webp").read_bytes()[:40])
    assert main(["mask", "half.webp", "--box", box, *MODELS[2:], "--out", "half"]) == 2
    assert "half.webp is damaged or cut short" in capfd.readouterr().err
    write_png(shown.frames[0], "photo.png")
    Path("photo.png").rename("photo.mp4")
    run("mask", "photo.mp4", "--box", box, *MODELS[2:], "--out", "photo")
    assert Path("photo/subject_1.png").is_file()


def test_stopped_writing_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = scene(22, frames=3)
    write_video(shown.frames, "clip.gif", 8)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("miva_core.cli.mask_results.boxes_json", stop)
    assert main(["mask", "clip.gif", "--box", "10,10,60,60", *MODELS[2:], "--out", "masks"]) == 2
    assert [path.name for path in folder.iterdir()] == ["clip.gif"]


def test_masks_that_changes_empty_are_told(run: Run) -> None:
    shown = scene(28)
    write_png(shown.frames[0], "photo.png")
    write_png(shown.masks[0, 0][..., None].expand(-1, -1, 3).contiguous(), "rough.png")
    output = run("mask", "photo.png", "--rough", "rough.png", *MODELS[2:], "--out", "masks", "--grow", "-500")
    assert "The mask of 'subject 1' is empty after its changes." in output


def test_what_is_there_is_not_written_over(fail: Run) -> None:
    write_png(scene(28).frames[0], "photo.png")
    Path("masks").mkdir()
    Path("masks/mine.png").touch()
    output = fail("mask", "photo.png", "--box", "0,0,20,20", "--grabcut", "--out", "masks")
    assert output == "masks exists already and is not empty: name another folder."
    assert fail("mask", "photo.png", "--box", "0,0,20,20", "--grabcut", "--out", "photo.png") == (
        "photo.png is a file: name a folder."
    )
    assert "cannot be used: File name too long" in fail(
        "mask", "photo.png", "--box", "0,0,20,20", "--grabcut", "--out", "x" * 300
    )
    assert "There is no picture missing.png" in fail(
        "mask", "missing.png", "--box", "0,0,20,20", "--grabcut", "--out", "new"
    )


def test_every_mask_has_a_file_of_its_own(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    write_png(scene(28).frames[0], "photo.png")
    labels = ["overlay", "a b", "a_b", "a b 2", "猫", "?!"]
    found = Subjects(torch.ones(6, 1, 96, 128), [[None]] * 6, labels, [[None]] * 6)
    monkeypatch.setattr("miva_core.cli.mask_results.find_subjects", lambda *_, **__: found)
    run("mask", "photo.png", "--prompt", "any", *MODELS, "--out", "masks")
    names = {path.name for path in Path("masks").glob("*.png")}
    assert names == {"overlay.png", "overlay_2.png", "a_b.png", "a_b_2.png", "a_b_2_2.png", "猫.png", "subject.png"}
    assert read_mask("masks/overlay_2.png").min() == 1


def white_square(frames: Tensor) -> Tensor:
    """A finder of masks that takes what is bright."""
    if frames.amax() < 0.5:
        raise MIVAError("No 'square' was found.")
    return (frames.amin(-1) > 0.5).float()[None]


def test_clips_without_masks_have_them_found(tmp_path: Path) -> None:
    for name in ("with", "without"):
        frames = torch.full((6, 40, 60, 3), 0.2)
        frames[:, 10:30, 20:40] = 0.9
        write_video(frames, tmp_path / f"{name}.mp4", 8)
    (tmp_path / "with_masks").mkdir()
    for k in range(6):
        write_png(torch.ones(40, 60, 3), tmp_path / "with_masks" / f"{k}.png")
    masked, found = read_clips(tmp_path, ClipSpec((40, 60), 5, 8), 1, white_square)
    assert (masked.masks == 255).all()
    assert found.masks.shape == (1, 6, 40, 60)
    square = torch.zeros(40, 60, dtype=torch.bool)
    square[10:30, 20:40] = True
    assert overlap(found.masks[0] > 127, square.expand(6, -1, -1)).min() > 0.9
    write_video(torch.full((6, 40, 60, 3), 0.2), tmp_path / "dark.mp4", 8)
    message = r"1 of 3 clips .* cannot be used; .*: dark.mp4: No 'square' was found. Or put masks into dark_masks.$"
    with pytest.raises(MIVAError, match=message):
        read_clips(tmp_path, ClipSpec((40, 60), 5, 8), 1, white_square)


def test_stills_without_masks_have_them_found(tmp_path: Path) -> None:
    picture = torch.full((40, 60, 3), 0.2)
    picture[10:30, 20:40] = 0.9
    write_png(picture, tmp_path / "a.png")
    (sample,) = read_validations(tmp_path, masked=True, find=white_square)
    assert sample.mask is not None
    assert sample.mask.sum() == 400


def test_training_on_clips_whose_masks_are_found(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    base = load_base("tiny")
    monkeypatch.setattr("miva_core.bases.tiny.loading.load_tiny", lambda *_: base)
    shown = scene(22, frames=18)
    Path("clips").mkdir()
    write_video(shown.frames, "clips/a.mp4", 8)
    options = ("--masked", "--subject", shown.names[0], *MODELS, "--steps", "1", "--batch", "1", "--sample-every", "9")
    run("train", "clips", "--out", "a.safetensors", *options)
    assert Path("a.safetensors").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (MODELS, "Only masked motions need masks: add --masked, or leave --detector out."),
        (
            ("--masked", *MODELS[2:]),
            "Masks are found by two models, --detector and --segmenter, but only --segmenter is given.",
        ),
        (
            ("--masked", *MODELS),
            "Masks are found by words, but --subject says '': a noun or a short phrase is needed, without commas or "
            "full stops.",
        ),
        (
            (
                "--masked",
                *MODELS,
                "--subject",
                "horse, brown",
                "--beside",
                "jump_masked",
                "--beside-out",
                "b.safetensors",
            ),
            "Masks are found by words, but --subject says 'horse, brown': a noun or a short phrase is needed, without "
            "commas or full stops.",
        ),
        (
            ("--masked", *MODELS, "--subject", "Object.", "--beside", "jump_masked", "--beside-out", "b.safetensors"),
            "Both subjects are called 'object': give --subject another word, or clips with masks.",
        ),
    ],
)
def test_what_is_wrong_with_finding_masks_is_told(options: tuple[str, ...], message: str, fail: Run) -> None:
    Path("clips").mkdir()
    assert fail("train", "clips", "--out", "a.safetensors", *options) == message
