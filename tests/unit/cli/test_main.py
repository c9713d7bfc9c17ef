"""The command line: whole runs as a user types them, and one sentence for everything that can be wrong."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from video_files import read_at_constant_rate

import miva_core
from miva_core import MIVAAdapter, MIVAConfig, describe, load_base, read_info
from miva_core.animation.clip import Clip
from miva_core.bases.base import Base
from miva_core.bases.known import TRAINED_ON
from miva_core.bases.wan.releases import WAN_2_2_LOW
from miva_core.cli.clip_files import ClipFiles
from miva_core.cli.main import COMMANDS, main
from miva_core.storage import files

ROOT = Path(miva_core.__file__).parent.parent
SMALL = MIVAConfig(cfa_rank=2, ca_rank=2, ta_rank=2)
RECORD = {
    "motion": "pan left",
    "frames": 16,
    "size": (64, 64),
    "fps": 8.0,
    "training": {"steps": 300, "clips": 10},
    "licence": "Apache-2.0",
    "author": "somebody",
}
QUICK = ("--steps", "1", "--frames", "2", "--device", "cpu")


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base("tiny")


@pytest.fixture
def quick_base(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    """The built-in base without its loading time."""
    monkeypatch.setattr("miva_core.bases.tiny.loading.load_tiny", lambda *_: base)


def save_adapter(model: Any, path: Path, config: MIVAConfig = SMALL, **record: Any) -> None:
    adapter = MIVAAdapter(model if hasattr(model, "sites") else describe(model), config)
    for parameter in adapter.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    adapter.save(path, adapter.info(**(RECORD | record)))


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory, base: Base) -> Path:
    """A folder with two adapters, which take longer to make than to copy."""
    torch.manual_seed(0)
    made = tmp_path_factory.mktemp("mine")
    save_adapter(base.backbone, made / "pan_left.safetensors")
    save_adapter(base.backbone, made / "my jump.safetensors", motion="jump", subject="a frog")
    return made


@pytest.fixture
def folder(tmp_path: Path, mine: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder a user works in: a picture, and two adapters in mine/."""
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)).save(tmp_path / "cat.png")
    shutil.copytree(mine, tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def typed(*arguments: str, cwd: Path, python: Sequence[str] = ()) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *python, "-m", "miva_core", *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell that runs tests in the background lets its children ignore Ctrl-C.
        preexec_fn=None if os.name == "nt" else lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        text=True,
    )


# --- as a user types it ----------------------------------------------------------------------------------------------


def test_a_picture_becomes_a_clip_and_a_sheet(folder: Path, base: Base) -> None:
    run = typed(
        *("animate", "cat.png", "--miva", "pan_left:0.5", "--miva", "mine/my jump.safetensors:0.5"),
        *("--adapters", "mine", "--out", "clip.mp4", "--sheet", "sheet.png", "--steps", "2", "--seed", "7"),
        *("--size", "96x64", "--device", "cpu"),
        cwd=folder,
    )
    said, errors = run.communicate(timeout=300)
    assert run.returncode == 0, errors
    lines = [line for line in errors.splitlines() if line]
    # Frames that are written within a tenth of a second show no bar.
    assert "2/2" in errors and ("Writing" not in errors or "48/48" in lines[-1])
    assert all(line.startswith(("Animating", "Writing")) for line in lines)  # the progress bars are alone
    clip, fps = read_at_constant_rate(folder / "clip.mp4")
    assert clip.shape == (48, 64, 96, 3) and fps == 24
    with Image.open(folder / "sheet.png") as sheet:
        assert sheet.width > 8 * 160 and sheet.height < 16 * 160
    first, *notes, written, laid_out = said.splitlines()
    assert first == "The picture was centre-cropped 90×70 to 90×60, scaled to 96×64."
    assert (written, laid_out) == ("Wrote clip.mp4: 48 frames of 96×64 at 24 a second.", "Wrote sheet.png.")
    assert all(note.startswith("The clip shows ") for note in notes)


@pytest.mark.skipif(os.name == "nt", reason="needs a shell")
def test_a_reader_that_has_seen_enough_is_no_mistake(folder: Path) -> None:
    program = f"'{sys.executable}' -m miva_core list | true"
    run = subprocess.run(
        ["sh", "-c", program], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert run.stderr == ""


def test_a_terminal_without_all_characters(folder: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}
    run = subprocess.run([sys.executable, "-m", "miva_core", "list"], env=environment, capture_output=True, text=True)
    assert run.returncode == 0 and run.stderr == "" and "64?64" in run.stdout


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no SIGINT for one process")
def test_ctrl_c_ends_a_run_without_a_trace(folder: Path) -> None:
    before = content(folder)
    run = typed(
        "animate", "cat.png", "--out", "clip.mp4", "--sheet", "s.png", "--steps", "1000", "--device", "cpu", cwd=folder
    )
    begun = ""
    while "/1000" not in begun:  # the progress bar
        read = run.stderr.read(1)
        assert read, f"It ended by itself: {begun}"
        begun += read
    run.send_signal(signal.SIGINT)
    said, errors = run.communicate(timeout=60)
    assert run.returncode == 2
    assert "Traceback" not in errors and errors.splitlines()[-1].startswith("Stopped") and not said.count("Wrote")
    assert content(folder) == before


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no SIGINT for one process")
@pytest.mark.parametrize("loading", ["torch.", "diffusers."])
def test_ctrl_c_while_libraries_are_being_loaded(folder: Path, loading: str) -> None:
    before = content(folder)
    run = typed("animate", "cat.png", "--out", "clip.mp4", "--device", "cpu", cwd=folder, python=("-X", "importtime"))
    for line in run.stderr:
        if line.rpartition("|")[2].strip().startswith(loading):
            break
    run.send_signal(signal.SIGINT)
    said, errors = run.communicate(timeout=60)
    assert run.returncode == 2 and not said
    assert "Traceback" not in errors and errors.splitlines()[-1].startswith("Stopped")
    assert content(folder) == before


# --- whole runs, in this process -------------------------------------------------------------------------------------


def animate(*arguments: str) -> int:
    return main(["animate", *arguments])


@pytest.fixture
def frames_of(folder: Path, quick_base: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., torch.Tensor]:
    """frames_of(*options, picture="cat.png"): the frames that a base painted in a run, without the writer's losses."""
    written = []
    write = ClipFiles.write

    def kept(self: ClipFiles, clip: Clip, *how: Any) -> None:
        written.append(clip.frames)
        write(self, clip, *how)

    monkeypatch.setattr(ClipFiles, "write", kept)

    def run(*options: str, picture: str = "cat.png") -> torch.Tensor:
        assert animate(picture, "--base", "tiny", "--out", "clip.mp4", "--render", "latents", *QUICK, *options) == 0
        return written[-1]

    return run


def test_options_reach_the_clip(frames_of: Callable) -> None:
    usual = frames_of()
    assert usual.shape == (2, 64, 64, 3) and torch.equal(usual, frames_of())
    for option in (["--seed", "1"], ["--adain"], ["--no-shared-noise"], ["--miva", "mine/pan_left.safetensors"]):
        assert (frames_of(*option) - usual).abs().max() > 1e-4, option
    strong = frames_of("--dct-strength", "1")
    assert (strong - frames_of("--dct-strength", "1", "--no-dct")).abs().max() > 1e-4
    assert frames_of("--fit", "pad", "--size", "32x48", "--frames", "3").shape == (3, 48, 32, 3)


def test_fitting_by_padding_keeps_the_whole_picture(frames_of: Callable) -> None:
    """Black bars at both ends of a wide white picture are cut off by a crop and seen after a pad."""
    bars = np.full((32, 96, 3), 255, np.uint8)
    bars[:, :24] = bars[:, -24:] = 0
    Image.fromarray(bars).save("bars.png")
    cropped, padded = (frames_of("--fit", fit, picture="bars.png")[0] for fit in ("crop", "pad"))
    assert cropped[:, 2:-2].mean() > 0.8 and padded[:, :12].mean() < 0.2 and padded[:, 20:44].mean() > 0.8


def test_weights_reach_the_adapters_and_their_sum_is_told(frames_of: Callable, capsys: pytest.CaptureFixture) -> None:
    def moved(*weighted: str) -> torch.Tensor:
        return frames_of("--adapters", "mine", *(word for text in weighted for word in ("--miva", text)))

    plain, once = moved("my jump:0"), moved("pan_left")
    assert (once - plain).abs().max() > 5e-3
    torch.testing.assert_close(moved("pan_left:0"), plain, rtol=0, atol=1e-3)
    # One adapter twice is allowed; halves of it are itself.
    torch.testing.assert_close(moved("pan_left:0.5", "pan_left:0.5"), once, rtol=0, atol=1e-3)
    assert "The weights sum" not in capsys.readouterr().out
    both = moved("pan_left:-2", "my jump")
    assert "The weights sum to -1; a sum of 1 is the most stable." in capsys.readouterr().out
    assert (both - plain).abs().max() > 5e-3 and (both - once).abs().max() > 5e-3
    two_steps = ("--adapters", "mine", "--steps", "2", "--miva")
    frames_of(*two_steps, "pan_left@0-0.5", "--miva", "my jump@0.5-1")
    assert "The weights sum" not in capsys.readouterr().out
    frames_of(*two_steps, "pan_left:0.5", "--miva", "my jump:0.5@0-0.5")
    assert "The weights sum to 0.5; a sum of 1" in capsys.readouterr().out


def test_without_a_motion_the_base_moves_as_the_seed_likes(frames_of: Callable) -> None:
    clips = [frames_of("--seed", str(seed)) for seed in range(6)]
    assert torch.equal(clips[3], frames_of("--seed", "3"))
    apart = torch.stack([(one - other)[1:].abs().mean() for one in clips for other in clips])
    assert apart.max() > 5e-3


@pytest.mark.parametrize(
    ("arguments", "note"),
    [
        ((), "No motion acts: the base makes one of its camera moves, which the seed chooses."),
        (("--miva", "pan_left:2"), "pan_left runs at the weight 2: it moves more than at 1, and the picture suffers."),
        (("--miva", "pan_left:3"), "pan_left runs at the weight 3: above 2 a motion turns back, and breaks"),
        (
            ("--miva", "pan_left:-1"),
            "pan_left has the weight -1: below 0 a motion is not reversed, the clip stands still",
        ),
        (("--miva", "pan_left", "--size", "144x64"), "144×64 is far from the 64×64 that this base was trained on"),
        (("--miva", "pan_left", "--size", "128x64"), ""),
    ],
)
def test_what_is_odd_about_a_run_is_told(
    frames_of: Callable, capsys: pytest.CaptureFixture, arguments: tuple[str, ...], note: str
) -> None:
    frames_of("--adapters", "mine", *arguments)
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(("The picture was", "Wrote"))]
    assert [line.startswith(note) for line in lines] == [True] * bool(note)


def test_spans_reach_the_adapters(frames_of: Callable) -> None:
    def moved(motion: str) -> torch.Tensor:
        return frames_of("--adapters", "mine", "--steps", "4", "--miva", motion)

    first, second = moved("pan_left@0-0.5"), moved("pan_left@0.5-1")
    assert torch.equal(moved("pan_left:0.5@0-1"), moved("pan_left:0.5"))
    assert not torch.equal(first, second) and not torch.equal(first, moved("pan_left"))


@pytest.mark.parametrize("kind", ["transparent", "grey", "16 bit", "very wide"])
def test_unusual_pictures_are_animated(frames_of: Callable, kind: str) -> None:
    noise = np.random.default_rng(0)
    if kind == "transparent":
        Image.fromarray(noise.integers(0, 256, (40, 50, 4), np.uint8)).save("p.png")
    elif kind == "grey":
        Image.fromarray(noise.integers(0, 256, (40, 50), np.uint8)).save("p.png")
    elif kind == "16 bit":
        cv2.imwrite("p.png", noise.integers(0, 65536, (40, 50, 3), np.uint16))
    else:
        Image.fromarray(noise.integers(0, 256, (8, 20000, 3), np.uint8)).save("p.png")
    for fit in ("crop", "pad"):
        assert frames_of("--fit", fit, picture="p.png").shape == (2, 64, 64, 3)


@pytest.mark.usefixtures("quick_base")
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_a_transparent_picture_is_told_once_without_the_codes_in_its_name(
    folder: Path, capfd: pytest.CaptureFixture
) -> None:
    Image.new("RGBA", (90, 70), (0, 0, 0, 99)).save(folder / "\x1b[31mred.png")
    assert main(["animate", "\x1b[31mred.png", "--out", "clip.mp4", *QUICK]) == 0
    output = "".join(capfd.readouterr())
    assert output.count(r"What is transparent in \x1b[31mred.png is shown over white.") == 1
    assert "\x1b" not in output


@pytest.fixture
def masked(folder: Path, base: Base) -> Path:
    """The folder with two masked adapters, a mask, and one of another size."""
    for name in ("hop", "sway"):
        save_adapter(base.backbone, folder / "mine" / f"{name}.safetensors", config=replace(SMALL, mask=True))
    square = np.zeros((70, 90), np.uint8)
    square[20:50, 30:60] = 255
    Image.fromarray(square).save(folder / "subject.png")
    Image.fromarray(square[::2, ::2]).save(folder / "small.png")
    Image.fromarray(square * 0).save(folder / "black.png")
    return folder


@pytest.mark.usefixtures("quick_base")
def test_masks_reach_their_motions_and_are_saved(masked: Path, capsys: pytest.CaptureFixture) -> None:
    motions = ("--miva", "hop", "--miva", "mine/sway.safetensors", "--adapters", "mine")
    masks = ("--mask", "hop=subject.png", "--mask", "sway=small.png")
    arguments = ("animate", "cat.png", *motions, *masks, "--save-masks", "--out", "clip.mp4", "--sheet", "sheet.png")
    assert main([*arguments, *QUICK]) == 0
    captured = capsys.readouterr()
    assert "The mask of sway was scaled from 45×35 to the picture's 90×70." in captured.err.splitlines()
    assert "Wrote clip_hop_mask.mp4." in captured.out and "Wrote clip_sway_mask.mp4." in captured.out
    frames, _ = read_at_constant_rate(Path("clip_hop_mask.mp4"))
    expected = np.asarray(Image.open("subject.png")) / 255
    assert frames.shape[1:3] == expected.shape and np.abs(frames[0, ..., 0].numpy() - expected).mean() < 0.05
    assert np.asarray(Image.open("sheet.png")).shape[0] > 2 * 2 * 70  # frames and masks, enlarged


@pytest.mark.usefixtures("quick_base")
def test_a_masked_weight_other_than_1_is_told(masked: Path, capsys: pytest.CaptureFixture) -> None:
    arguments = ("animate", "cat.png", "--miva", "mine/hop.safetensors:0.5", "--mask", "hop=subject.png")
    assert main([*arguments, "--out", "a.mp4", *QUICK]) == 0
    assert "hop runs at the weight 0.5; masked motions are made for 1." in capsys.readouterr().out


def test_saved_masks_are_checked_before_the_run(masked: Path, capsys: pytest.CaptureFixture) -> None:
    (masked / "a_hop_mask.mp4").mkdir()
    arguments = ("animate", "cat.png", "--miva", "mine/hop.safetensors", "--mask", "hop=subject.png", "--save-masks")
    assert main([*arguments, "--out", "a.mp4"]) == 2
    assert "a_hop_mask.mp4 is a folder" in capsys.readouterr().err
    assert not (masked / "a.mp4").exists()


@pytest.mark.usefixtures("quick_base")
def test_an_empty_mask_is_told(masked: Path, capsys: pytest.CaptureFixture) -> None:
    arguments = ("animate", "cat.png", "--miva", "mine/hop.safetensors", "--mask", "hop=black.png", "--out", "a.mp4")
    assert main([*arguments, *QUICK]) == 0
    assert "The mask of hop is empty, so it is taken for the whole frame." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--miva hop", "No mask is given for hop: "),
        (
            "--miva hop --mask hop",
            "'hop' names no mask of a motion: write its name, = and a picture, as in jump=mask.png.",
        ),
        ("--miva hop --mask hop=", "'hop=' names no mask"),
        ("--miva hop --mask hop=subject.png --mask hop=small.png", "Two masks are given for hop: give one"),
        ("--miva hop --mask sway=subject.png", "A mask is given for 'sway', but the motions are hop: write --mask"),
        ("--mask hop=subject.png", "A mask is given for 'hop', but no motion: name it by --miva or --say, too."),
        ("--miva pan_left --mask pan_left=subject.png", "this adapter has no mask stream"),
        ("--miva pan_left --save-masks", "There are no masks to save"),
        (
            "--miva hop --miva hop --mask hop=subject.png",
            "A mask is given for 'hop', but the motions are hop (1), hop (2): "
            'write --mask "hop (1)=subject.png", for example.',
        ),
        ("--miva hop --mask hop=nowhere.png", "nowhere.png"),
        ("--miva hop --mask hop=mine", "mine is a folder"),
    ],
)
def test_mistakes_with_masks(masked: Path, capsys: pytest.CaptureFixture, arguments: str, message: str) -> None:
    before = content(masked)
    assert main(["animate", "cat.png", "--adapters", "mine", "--out", "a.mp4", *arguments.split()]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert content(masked) == before


@pytest.mark.usefixtures("quick_base")
def test_an_earlier_clip_is_replaced(folder: Path) -> None:
    (folder / "clip.mp4").write_bytes(b"old")
    assert animate("cat.png", "--out", "clip.mp4", *QUICK) == 0
    assert len(read_at_constant_rate(folder / "clip.mp4")[0]) == 2
    assert set(os.listdir(folder)) == {"cat.png", "mine", "clip.mp4"}


# --- what can be wrong -----------------------------------------------------------------------------------------------


@pytest.fixture
def clutter(folder: Path, make_unet: Callable) -> Path:
    """What else may lie around in that folder."""
    (folder / "text.png").write_text("This is no picture.\n")
    (folder / "text.safetensors").write_text("This is no adapter.\n")
    (folder / "empty.png").touch()
    (folder / "empty.safetensors").touch()
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    Image.new("RGB", (2000, 20)).save(folder / "wide.png")
    whole = (folder / "cat.png").read_bytes()
    (folder / "half.png").write_bytes(whole[: len(whole) // 2])
    adapter = (folder / "mine" / "pan_left.safetensors").read_bytes()
    (folder / "half.safetensors").write_bytes(adapter[: len(adapter) // 2])
    (folder / "folder.mp4").mkdir()
    save_adapter(make_unet(), folder / "stranger.safetensors")
    return folder


def wrong(picture: str = "cat.png", out: str = "clip.mp4", *options: str) -> list[str]:
    return ["animate", picture, "--out", out, *QUICK, *options]


WRONG = {
    "no command": ([], "required"),
    "unknown command": (["animat"], "invalid choice"),
    "no picture": (["animate", "--out", "clip.mp4"], "required: PICTURE"),
    "no output": (["animate", "cat.png"], "required: --out"),
    "unknown option": (wrong("cat.png", "clip.mp4", "--frobnicate"), "--frobnicate"),
    "missing picture": (wrong("dog.png"), "There is no picture dog.png"),
    "a folder without pictures": (wrong("mine", "clips"), "There are no stills in mine"),
    "text as picture": (wrong("text.png"), "text.png is not a picture"),
    "empty picture": (wrong("empty.png"), "empty.png is empty"),
    "half a picture": (wrong("half.png"), "half.png is damaged"),
    "one pixel": (wrong("dot.png"), "dot.png is 1×1"),
    "adapter as picture": (wrong("mine/pan_left.safetensors"), "is not a picture"),
    "missing folder": (wrong("cat.png", "out/clip.mp4"), "There is no folder out"),
    "folder as clip": (wrong("cat.png", "folder.mp4"), "folder.mp4 is a folder"),
    "file as folder": (wrong("cat.png", "cat.png/clip.mp4"), "There is no folder cat.png"),
    "unknown ending": (wrong("cat.png", "clip.doc"), "clip.doc cannot be written by its ending"),
    "no ending": (wrong("cat.png", "clip"), "by its ending"),
    "sheet in a missing folder": (wrong("cat.png", "clip.mp4", "--sheet", "out/s.png"), "There is no folder out"),
    "sheet of another kind": (wrong("cat.png", "clip.mp4", "--sheet", "s.jpg"), "ending in .png"),
    "unknown adapter": (
        wrong("cat.png", "clip.mp4", "--adapters", "mine", "--miva", "panleft"),
        "no adapter 'panleft': did you mean pan_left",
    ),
    "missing folder for a name": (
        wrong("cat.png", "clip.mp4", "--adapters", "yours", "--miva", "pan_left"),
        "There is no folder yours",
    ),
    "missing adapter file": (
        wrong("cat.png", "clip.mp4", "--miva", "x.safetensors"),
        "There is no adapter x.safetensors: check the name",
    ),
    "text as adapter": (wrong("cat.png", "clip.mp4", "--miva", "text.safetensors"), "is a text file"),
    "empty adapter": (wrong("cat.png", "clip.mp4", "--miva", "empty.safetensors"), "is an empty file"),
    "half an adapter": (wrong("cat.png", "clip.mp4", "--miva", "half.safetensors"), "truncated"),
    "another base's adapter": (wrong("cat.png", "clip.mp4", "--miva", "stranger.safetensors"), "another base"),
    "span": (wrong("cat.png", "clip.mp4", "--miva", "pan_left@0.5-0.2"), "'pan_left@0.5-0.2' has no span to act in"),
    "span of percents": (wrong("cat.png", "clip.mp4", "--miva", "pan_left@0-40%"), "two shares of the run, from 0 to"),
    "span of one": (wrong("cat.png", "clip.mp4", "--miva", "pan_left@0.4"), "two shares of the run, from 0 to 1"),
    "weight NaN in a span": (wrong("cat.png", "clip.mp4", "--miva", "pan_left:nan@0-1"), "is no weighted adapter"),
    "span alone": (wrong("cat.png", "clip.mp4", "--miva", "@0-0.4"), "two shares of the run, from 0 to 1"),
    "huge weight": (wrong("cat.png", "clip.mp4", "--miva", "pan_left:1e39"), "expected a number from -1e6 to 1e6"),
    "no span": (wrong("cat.png", "clip.mp4", "--miva", "pan_left:1@0-1.2.3"), "write two shares of the run"),
    "weight NaN": (wrong("cat.png", "clip.mp4", "--miva", "pan_left:nan", "--adapters", "mine"), "'pan_left:nan'"),
    "weight infinite": (wrong("cat.png", "clip.mp4", "--miva", "pan_left:inf", "--adapters", "mine"), "pan_left:inf"),
    "weight as text": (wrong("cat.png", "clip.mp4", "--miva", "pan_left:half"), "'pan_left:half'"),
    "weight left out": (wrong("cat.png", "clip.mp4", "--miva", "pan_left:"), "'pan_left:'"),
    "name left out": (wrong("cat.png", "clip.mp4", "--miva", ":0.5"), "':0.5'"),
    "steps 0": (wrong("cat.png", "clip.mp4", "--steps", "0"), "--steps: '0' is not a whole number from 1 to 1000"),
    "steps -3": (wrong("cat.png", "clip.mp4", "--steps", "-3"), "--steps: '-3' is not a whole number"),
    "steps 1001": (wrong("cat.png", "clip.mp4", "--steps", "1001"), "--steps: '1001'"),
    "steps 2.5": (wrong("cat.png", "clip.mp4", "--steps", "2.5"), "--steps"),
    "frames 1": (wrong("cat.png", "clip.mp4", "--frames", "1"), "--frames: '1'"),
    "frames 99": (wrong("cat.png", "clip.mp4", "--render", "latents", "--frames", "99"), "2 to 64 frames: 99 cannot"),
    "frames 5000": (wrong("cat.png", "clip.mp4", "--frames", "5000"), "seconds cannot be made"),
    "frames and duration": (wrong("cat.png", "clip.mp4", "--duration", "1"), "--frames and --duration both"),
    **{
        f"fps {fps}": (wrong("cat.png", "clip.mp4", "--fps", fps), f"--fps: '{fps}' is not a number from 1 to 120")
        for fps in ("0", "1000", "-1", "nan", "fast")
    },
    "fps 60 for a gif": (
        wrong("cat.png", "clip.gif", "--fps", "60"),
        "cannot play 60 frames per second: choose at most 50.",
    ),
    **{
        f"duration {time}": (
            ["animate", "cat.png", "--out", "clip.mp4", "--duration", time],
            f"--duration: '{time}' is not a number above 0 and up to 60",
        )
        for time in ("0", "-2", "nan", "inf", "61", "1e9")
    },
    "unknown easing": (wrong("cat.png", "clip.mp4", "--easing", "bounce"), "--easing"),
    "unknown edges": (wrong("cat.png", "clip.mp4", "--edges", "wrap"), "--edges"),
    "unknown render": (wrong("cat.png", "clip.mp4", "--render", "best"), "--render"),
    "a format for one picture": (wrong("cat.png", "clip.mp4", "--format", "gif"), "--format is for a folder"),
    "negative seed": (wrong("cat.png", "clip.mp4", "--seed", "-1"), "--seed: '-1'"),
    "huge seed": (wrong("cat.png", "clip.mp4", "--seed", str(2**64)), "--seed: '18446744073709551616'"),
    "seed as text": (wrong("cat.png", "clip.mp4", "--seed", "x"), "--seed"),
    "size as text": (wrong("cat.png", "clip.mp4", "--size", "big"), "size 'big'"),
    "size half given": (wrong("cat.png", "clip.mp4", "--size", "64x"), "size '64x'"),
    "size empty": (wrong("cat.png", "clip.mp4", "--size", ""), "size ''"),
    "size zero": (wrong("cat.png", "clip.mp4", "--size", "0x0"), "size '0x0'"),
    "size 1": (wrong("cat.png", "clip.mp4", "--size", "1"), "each side must be from 16 to 4096 pixels"),
    "size 16000": (wrong("cat.png", "clip.mp4", "--size", "0x16000"), "each side must be from 16 to 4096 pixels"),
    "size of a wide picture": (wrong("wide.png", "clip.mp4", "--size", "0x64"), "must be from 16 to 4096 pixels"),
    "size not a multiple": (wrong("cat.png", "clip.mp4", "--render", "latents", "--size", "70x64"), "70×64"),
    "DCT strength 2": (
        wrong("cat.png", "clip.mp4", "--dct-strength", "2"),
        "--dct-strength: '2' is not a number from 0 to 1",
    ),
    "DCT strength NaN": (wrong("cat.png", "clip.mp4", "--dct-strength", "nan"), "--dct-strength: 'nan'"),
    "unknown fit": (wrong("cat.png", "clip.mp4", "--fit", "stretch"), "--fit"),
    "unknown base": (wrong("cat.png", "clip.mp4", "--base", "huge"), "no base 'huge'"),
    "unknown device": (wrong("cat.png", "clip.mp4", "--device", "abacus"), "device 'abacus'"),
    "device without numbers": (wrong("cat.png", "clip.mp4", "--device", "meta"), "device 'meta'"),
    "device of a missing add-on": (wrong("cat.png", "clip.mp4", "--device", "hpu"), "device 'hpu'"),
    "clip over the picture": (wrong("cat.webp", "cat.webp"), "would be written over cat.webp"),
    "sheet over the picture": (wrong("cat.png", "clip.mp4", "--sheet", "./cat.png"), "would be written over cat.png"),
    "a picture as adapter": (
        wrong("cat.png", "clip.mp4", "--miva", "cat.png"),
        "but a whole MIVA adapter was expected",
    ),
    "a checkpoint for a built-in base": (wrong("cat.png", "clip.mp4", "--checkpoint", "x.ckpt"), "takes no checkpoint"),
    "info on nothing": (["info", "missing.safetensors"], "There is no file missing.safetensors"),
    "info on a folder": (["info", "mine"], "mine is a folder"),
    "info on an empty file": (["info", "empty.safetensors"], "empty"),
    "list of a missing folder": (["list", "--adapters", "yours"], "There is no folder yours"),
}


@pytest.mark.usefixtures("quick_base")
@pytest.mark.parametrize("case", WRONG)
def test_mistakes_are_told_in_one_sentence(clutter: Path, capsys: pytest.CaptureFixture, case: str) -> None:
    arguments, message = WRONG[case]
    before = content(clutter)
    assert main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("Error: ") and lines[0][-1] in ".)"
    assert message in lines[0]
    assert content(clutter) == before


def test_a_folder_that_may_not_be_written_to(
    folder: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "locked").mkdir(mode=0o500)
    if os.name == "nt" or os.geteuid() == 0:  # who may write everywhere

        def refuse(**_: object) -> NoReturn:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(files.tempfile, "TemporaryFile", refuse)
    assert main(wrong("cat.png", "locked/clip.mp4")) == 2
    assert capsys.readouterr().err.startswith("Error: Nothing can be written into the folder locked: Permission")


# --- Ctrl-C ----------------------------------------------------------------------------------------------------------


def interrupt(*_: Any, **__: Any) -> NoReturn:
    raise KeyboardInterrupt


def half_a_clip(path: Path, _: Any) -> NoReturn:
    path.write_bytes(b"the beginning")
    raise KeyboardInterrupt


@pytest.mark.usefixtures("quick_base")
@pytest.mark.parametrize(
    ("place", "act"),
    [
        ("miva_core.cli.chosen.load_base", interrupt),
        ("miva_core.rendering.scene.Scene.frame", interrupt),
        ("miva_core.media.video.encoder", half_a_clip),
    ],
)
def test_ctrl_c_at_any_time_leaves_nothing(
    folder: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    act: Callable[..., NoReturn],
) -> None:
    before = content(folder)
    monkeypatch.setattr(place, act)
    assert main(wrong()) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("Stopped")
    assert content(folder) == before


# --- list and info ---------------------------------------------------------------------------------------------------


def test_list_shows_bases_and_adapters(clutter: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["list", "--adapters", "mine", "--adapters", "."]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  tiny             the built-in U-Net" in lines
    rows = {line[2:18].strip(): line[18:].strip() for line in lines if line.startswith("  ")}
    assert rows["my jump"] == "jump (16 frames, 64×64, the built-in U-Net)"
    assert rows["stranger"] == "pan left (16 frames, 64×64, an unknown base)"
    assert rows["text"].startswith("cannot be used: text.safetensors is a text file")


def test_info_finds_shipped_motions_by_name(folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["info", "pan_left"]) == 0
    said = capsys.readouterr().out
    assert "pan_left.safetensors is a MIVA adapter." in said and "0 to 1 are " in said


def test_info_tells_what_an_adapter_was_trained_on(folder: Path, base: Base, capsys: pytest.CaptureFixture) -> None:
    assert main(["info", "mine/my jump.safetensors"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{Path('mine/my jump.safetensors')} is a MIVA adapter.\n")
    for word in (
        "jump",
        "a frog",
        base.backbone.fingerprint,
        "16 frames of 64×64 at 8 a second",
        "steps 300, clips 10",
    ):
        assert word in said
    assert "Apache-2.0" in said and "somebody" in said and "cfa_rank 2" in said
    count = MIVAAdapter.load("mine/my jump.safetensors", base.backbone).num_parameters()
    assert f"parameters {count:,}: cross-frame attention" in said


def test_info_names_the_one_of_several_bases_that_an_adapter_has_met(
    folder: Path, capsys: pytest.CaptureFixture
) -> None:
    adapter = MIVAAdapter(WAN_2_2_LOW.backbone, MIVAConfig(cfa_rank=1, ca_rank=1))
    record = {"motion": "sway", "frames": 17, "size": (832, 480), "fps": 8, "training": {TRAINED_ON: WAN_2_2_LOW.menu}}
    adapter.save("sway.safetensors", adapter.info(**record), dtype=torch.float16)
    assert main(["info", "sway.safetensors"]) == 0
    assert (
        "  base       Wan 2.1 14B or Wan 2.2 14B (wan, fingerprint 32db1b14b65a). It was trained on Wan 2.2 14B, low "
        "noise, and has not seen Wan 2.1 14B and Wan 2.2 14B, high noise, which take it as well.\n"
    ) in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("text.png", "a text file"),
        ("cat.png", "a PNG picture"),
        ("half.safetensors", "a truncated safetensors file"),
        ("unet.safetensors", "a U-Net in the diffusers layout:\n28 parameters in 2 tensors of bfloat16 and float32"),
        ("unet.ckpt", "a U-Net in the diffusers layout:\n28 parameters in 2 tensors of bfloat16 and float32"),
        ("none.safetensors", "a model file without tensors"),
        ("wan.safetensors", "an official MIVA research checkpoint:\n4 parameters in 1 tensors of float32"),
        ("wan.pt", "an official MIVA research checkpoint:\n4 parameters in 1 tensors of float32"),
    ],
)
def test_info_tells_what_another_file_is(clutter: Path, capsys: pytest.CaptureFixture, name: str, kind: str) -> None:
    unet = {"down_blocks.0.resnets.0": torch.zeros(2, 3, 4), "time_embedding.linear_1": torch.zeros(4).bfloat16()}
    save_file(unet, "unet.safetensors")
    torch.save({"state_dict": unet}, "unet.ckpt")
    official = {"blocks.0.i2v_adapter.q.bias": torch.zeros(4)}
    torch.save(official, "wan.pt")
    save_file(official, "wan.safetensors")
    save_file({}, "none.safetensors")
    assert main(["info", name]) == 0
    assert capsys.readouterr().out == f"{name} is {kind}.\n"


def test_info_looks_at_the_tensors(folder: Path, capsys: pytest.CaptureFixture) -> None:
    tensors, info = load_file("mine/pan_left.safetensors"), read_info("mine/pan_left.safetensors")
    first = next(iter(tensors))
    for broken, message in (
        ({name: tensor for name, tensor in tensors.items() if name != first}, f"lacks the tensor {first}"),
        (tensors | {first: tensors[first] * torch.nan}, f"NaN or infinite values in {first}"),
        ({}, "lacks the tensor"),
    ):
        save_file(broken, "broken.safetensors", {"miva": info.to_json()})
        assert main(["info", "broken.safetensors"]) == 0
        said = capsys.readouterr().out
        assert said.startswith("broken.safetensors is a damaged MIVA adapter.\n") and message in said


def test_info_tells_why_an_adapter_is_broken(folder: Path, capsys: pytest.CaptureFixture) -> None:
    path = folder / "mine" / "pan_left.safetensors"
    path.write_bytes(path.read_bytes().replace(b'\\"format_version\\": 1', b'\\"format_version\\": 7'))
    assert main(["info", str(path)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("is a MIVA adapter of a newer format version.") and "update it" in second


def test_info_on_an_adapter_that_says_too_much(folder: Path, base: Base, capsys: pytest.CaptureFixture) -> None:
    long = "of horses, " * 30_000
    save_adapter(base.backbone, folder / "long.safetensors", motion=long, author=long, training={long: 1})
    assert main(["info", "long.safetensors"]) == 0 and main(["list", "--adapters", "."]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) < 2100


def test_the_home_folder_in_paths(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    """Where no shell has put it in: in quotes, and on Windows."""
    monkeypatch.setenv("HOME", str(folder / "mine"))
    monkeypatch.setenv("USERPROFILE", str(folder / "mine"))
    assert main(["info", "~/my jump.safetensors"]) == 0
    assert "is a MIVA adapter" in capsys.readouterr().out
    assert main(["list", "--adapters=~"]) == 0
    assert "my jump" in capsys.readouterr().out


def test_help_is_no_mistake(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as end:
        main(["animate", "--help"])
    assert end.value.code == 0 and "--miva NAME[:WEIGHT]" in capsys.readouterr().out


ANSWERED_AT_ONCE = {
    "animate": ["cat.png", "--out", "clip.mp4", "--steps", "0"],
    "film": ["cat.png", "--motion", "pan-left", "--out", "clip.mp4", "--seed", "-1"],
    "transfer": ["clip.mp4", "cat.png", "--out", "new.mp4", "--strength", "3"],
    "mask": ["cat.png", "--out", "masks", "--prompt", "cat"],
    "train": ["clips", "--out", "jump.safetensors", "--words", "--film", "pan-left"],
    "motion-clips": ["stills", "--out", "clips"],
    "evaluate": ["jump", "--out", "results"],
    "list": ["--adapters"],
    "convert": ["adapter.pt"],
    "convert-sana": ["sana.safetensors"],
    "export-motion-lora": ["jump"],
    "info": [],
}
"""Commands with arguments that are wrong by themselves, whatever is on the disk."""


def test_every_command_has_arguments_that_are_wrong(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert re.findall(r"^ {4}([a-z-]+)", capsys.readouterr().out, re.MULTILINE) == list(ANSWERED_AT_ONCE)


@pytest.mark.parametrize("command", ANSWERED_AT_ONCE)
def test_help_and_wrong_arguments_are_answered_without_torch(command: str, tmp_path: Path) -> None:
    """What takes seconds to load is loaded after that."""
    program = """
import sys
from miva_core.cli.main import COMMANDS, main
try:
    main([sys.argv[1], "--help"])
except SystemExit as end:
    print("help ended with", end.code)
print("wrong arguments ended with", main(sys.argv[1:]))
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""
    run = subprocess.run(
        [sys.executable, "-c", program, command, *ANSWERED_AT_ONCE[command]],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    *_, help_end, wrong_end, loaded = run.stdout.splitlines()
    assert (help_end, wrong_end) == ("help ended with 0", "wrong arguments ended with 2"), run.stderr
    assert "miva_core" in loaded.split()
    assert not {*loaded.split()} & {"torch", "numpy", "diffusers", "transformers", "cv2", "av", "PIL", "tqdm"}


@pytest.mark.parametrize("command", ANSWERED_AT_ONCE)
def test_every_command_runs_something(command: str) -> None:
    """Where that stands is written as text, which no type checker follows."""
    assert callable(COMMANDS[command].function())
