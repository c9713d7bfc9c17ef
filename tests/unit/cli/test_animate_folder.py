"""The command `animate` on a folder of pictures: alone, stopped on the way, and shared by two processes."""

import errno
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from video_files import read_at_constant_rate

import miva_core
from miva_core import load_base
from miva_core.bases.base import Base
from miva_core.cli.animate_folder import clip_names, find_jobs
from miva_core.cli.clip_files import ClipFiles
from miva_core.cli.main import main
from miva_core.cli.processes import launched_processes
from miva_core.errors import MIVAError
from miva_core.measure.metrics import psnr
from miva_core.media.pictures import read_picture

ROOT = Path(miva_core.__file__).parent.parent
QUICK = ("--steps", "1", "--frames", "3", "--device", "cpu")


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base("tiny")


@pytest.fixture
def pictures(folder: Path, base: Base, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three pictures and what else may lie beside them."""
    monkeypatch.setattr("miva_core.bases.tiny.loading.load_tiny", lambda *_: base)
    place = folder / "pics"
    place.mkdir()
    for seed, name in enumerate(("b.png", "a.jpg", "c.webp")):
        picture(64 + 8 * seed, 80, seed).save(place / name)
    (place / "notes.txt").write_text("Where these are from.\n")
    return place


def picture(height: int, width: int, seed: int = 0) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def names(folder: str) -> list[str]:
    return sorted(os.listdir(folder))


def animate(*options: str) -> tuple[str, ...]:
    return "animate", "pics", "--out", "clips", "--miva", "zoom_in", *QUICK, *options


def test_each_picture_becomes_a_clip_of_its_name(pictures: Path, run: Callable[..., str]) -> None:
    (pictures / "older").mkdir()
    picture(64, 64).save(pictures / "older" / "d.png")
    said = run(*animate())
    assert names("clips") == ["a.mp4", "b.mp4", "c.mp4"] and "Wrote 3 clips into clips." in said
    assert "Passed over in pics, which is read for stills: older (with 1 inside: choose such a folder itself)." in said
    for clip, still in (("a", "a.jpg"), ("b", "b.png"), ("c", "c.webp")):
        frames, fps = read_at_constant_rate(Path(f"clips/{clip}.mp4"))
        expected = read_picture(f"pics/{still}")
        assert frames.shape == (3, *expected.shape) and fps == 24 and psnr(frames[0], expected) > 30


@pytest.mark.usefixtures("pictures")
def test_a_clip_is_the_same_whatever_else_is_in_the_folder(run: Callable[..., str]) -> None:
    run(*animate("--seed", "3"))
    run("animate", "pics/c.webp", "--out", "c.mp4", "--miva", "zoom_in", *QUICK, "--seed", "3")
    assert Path("clips/c.mp4").read_bytes() == Path("c.mp4").read_bytes()


@pytest.mark.usefixtures("pictures")
def test_what_is_there_is_not_made_again(run: Callable[..., str]) -> None:
    Path("clips").mkdir()
    Path("clips/b.mp4").write_bytes(b"mine")
    said = run(*animate())
    assert "Of 3 clips 1 are in clips already" in said and "Wrote 2 clips into clips." in said
    assert Path("clips/b.mp4").read_bytes() == b"mine"
    times = {path: path.stat().st_mtime_ns for path in Path("clips").iterdir()}
    said = run(*animate())
    assert "Of 3 clips 3 are in clips already" in said and "Wrote 0 clips into clips." in said
    assert {path: path.stat().st_mtime_ns for path in Path("clips").iterdir()} == times


@pytest.mark.usefixtures("pictures")
def test_what_another_command_makes_meanwhile_is_left_alone(
    run: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = ClipFiles.write

    def beside(self: ClipFiles, *what: Any) -> None:
        write(self, *what)
        Path("clips/c.mp4").write_bytes(b"another's")

    monkeypatch.setattr(ClipFiles, "write", beside)
    assert "Wrote 2 clips into clips." in run(*animate())
    assert Path("clips/c.mp4").read_bytes() == b"another's"


@pytest.mark.usefixtures("pictures")
def test_what_fails_is_listed_while_the_others_are_made(capsys: pytest.CaptureFixture) -> None:
    Path("pics/a.jpg").write_text("This is no picture.\n")
    Path("pics/d.png").touch()
    with pytest.raises(SystemExit) as end:
        main(animate())
    assert end.value.code == 1
    said, errors = capsys.readouterr()
    title, *failures = [line for line in errors.splitlines() if line and "Animating" not in line]
    assert title == "Error: 2 of 4 pictures could not be animated:" and "Wrote 2 clips into clips." in said
    assert [line.split(":")[0] for line in failures] == ["  a.jpg", "  d.png"]
    assert "is not a picture" in failures[0] and "is empty" in failures[1]
    assert names("clips") == ["b.mp4", "c.mp4"]


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize(
    ("fail", "message"),
    [
        (lambda: torch.empty(2**50), "There is not enough memory for it"),
        (lambda: cv2.resize(np.zeros((4, 4), np.float32), (2**20, 2**20)), "There is not enough memory for it"),
        (lambda: cv2.resize(np.zeros((4, 0), np.float32), (2, 2)), "It cannot be rendered: !ssize.empty()."),
    ],
)
def test_a_picture_that_takes_too_much_fails_alone(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, fail: Callable[[], Any], message: str
) -> None:
    fail_for(monkeypatch, "b.mp4", fail)
    with pytest.raises(SystemExit):
        main(animate())
    assert f"  b.png: {message}" in capsys.readouterr().err and names("clips") == ["a.mp4", "c.mp4"]


@pytest.mark.usefixtures("pictures")
def test_a_full_disk_ends_the_run_with_what_was_made(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    fail_for(monkeypatch, "b.mp4", full)
    with pytest.raises(SystemExit):
        main(animate())
    said, errors = capsys.readouterr()
    assert "Wrote 1 clip into clips." in said and names("clips") == ["a.mp4"]
    assert "  b.png: No space left on device: make room, and give the same command again." in errors


def fail_for(monkeypatch: pytest.MonkeyPatch, clip: str, fail: Callable[[], Any]) -> None:
    """Let a clip of a name fail as it is written."""
    write = ClipFiles.write

    def written(self: ClipFiles, *what: Any) -> None:
        if self.out.name == clip:
            fail()
        write(self, *what)

    monkeypatch.setattr(ClipFiles, "write", written)


def test_pictures_of_one_name_have_clips_of_two() -> None:
    def named(*paths: str) -> list[str]:
        return list(clip_names([Path(path) for path in paths]).values())

    assert named("a.jpg", "b.jpg") == ["a", "b"]
    assert named("a.jpg", "a.png", "b.jpg") == ["a.jpg", "a.png", "b"]
    assert named("A.jpg", "a.png") == ["A.jpg", "a.png"]
    assert named("a.jpg", "a.jpg.png", "a.png") == ["a.jpg", "a.jpg.png", "a.png"]


@pytest.mark.usefixtures("pictures")
def test_pictures_of_one_name_are_told(run: Callable[..., str]) -> None:
    picture(64, 64, 5).save("pics/a.png")
    said = run(*animate("--format", "gif"))
    assert names("clips") == ["a.jpg.gif", "a.png.gif", "b.gif", "c.gif"] and "as in a.jpg.gif" in said


@pytest.mark.usefixtures("pictures")
def test_clips_beside_their_pictures(run: Callable[..., str], fail: Callable[..., str]) -> None:
    assert "name another folder in --out" in fail(*animate("--out", "pics", "--format", "webp"))
    run(*animate("--out", "pics"))
    assert {"a.mp4", "b.mp4", "c.mp4", "c.webp", "a.jpg"} <= set(names("pics"))
    assert "Of 3 clips 3 are in" in run(*animate("--out", "./pics"))


@pytest.mark.usefixtures("pictures")
def test_what_is_odd_is_told_once_for_all_that_it_holds_for(run: Callable[..., str]) -> None:
    said = run(*animate("--size", "32"))
    assert "a.jpg: The picture was centre-cropped 80×72 to 72×72, scaled to 32×32. Likewise b.png.\n" in said
    assert "c.webp: The picture was scaled 80×80 to 32×32.\n" in said and said.count("The picture was") == 2


# --- masks -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def masked(pictures: Path) -> tuple[str, ...]:
    """A command with a masked motion; the mask is to follow."""
    for name, left in (("a", 10), ("b", 30), ("c_mask", 50)):
        mask = np.zeros((64, 80), np.uint8)
        mask[20:40, left : left + 20] = 255
        (pictures.parent / "masks").mkdir(exist_ok=True)
        Image.fromarray(mask).resize((80, 72 if name == "a" else 64 if name == "b" else 80)).save(f"masks/{name}.png")
    return "animate", "pics", "--out", "clips", "--miva", "jump_masked", "--save-masks", *QUICK, "--mask"


def test_each_picture_has_its_mask_in_a_folder(masked: tuple[str, ...], run: Callable[..., str]) -> None:
    run(*masked, "jump_masked=masks")
    assert names("clips") == [f"{name}{end}.mp4" for name in "abc" for end in ("", "_jump_masked_mask")]
    for name, left in (("a", 10), ("b", 30), ("c", 50)):
        mask = read_at_constant_rate(Path(f"clips/{name}_jump_masked_mask.mp4"))[0][0, ..., 0]
        assert abs((mask[30] > 0.5).nonzero().float().mean() - (left + 9.5)) < 1


def test_masks_may_lie_beside_their_pictures(masked: tuple[str, ...], run: Callable[..., str]) -> None:
    Image.open("masks/a.png").save("pics/A_Mask.gif")
    shutil.copy("masks/b.png", "pics/b_masks.PNG")
    shutil.copy("masks/c_mask.png", "pics/c_mask.png")
    run(*masked, "jump_masked=pics")
    assert len(names("clips")) == 6


def test_one_mask_for_all(masked: tuple[str, ...], run: Callable[..., str]) -> None:
    said = run(*masked, "jump_masked=masks/b.png")
    assert len(names("clips")) == 6 and said.count("The mask of jump_masked was") == 1


def test_a_picture_without_its_mask_fails_alone(masked: tuple[str, ...], capsys: pytest.CaptureFixture) -> None:
    os.unlink("masks/a.png")
    shutil.copy("masks/b.png", "masks/b_mask.png")
    with pytest.raises(SystemExit):
        main([*masked, "jump_masked=masks"])
    errors = capsys.readouterr().err
    assert "a.jpg: One mask of this name is needed in masks, but there is none: call it a.png" in errors
    assert "b.png: One mask of this name is needed in masks, but there are b.png, b_mask.png" in errors
    assert names("clips") == ["c.mp4", "c_jump_masked_mask.mp4"]


# --- what can be wrong -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pics", "--out", "taken"), "taken is a file, but the clips of a folder need a folder"),
        (("pics", "--out", "no/clips"), "There is no folder no to make clips in"),
        (("pics", "--out", "clips", "--sheet", "s.png"), "--sheet shows one clip"),
        (("pics", "--out", "clips", "--format", "avi"), "--format"),
        (
            ("pics", "--out", "clips", "--format", "gif", "--fps", "60"),
            "cannot play 60 frames per second: choose at most 50.",
        ),
        (("empty", "--out", "clips"), "There are no stills in empty"),
        (("words", "--out", "clips"), "There are no stills in words"),
        (("pics/a.jpg", "--out", "empty"), "empty is a folder: name a file in it"),
        (("pics", "--out", "clips", "--miva", "jump_masked"), "No mask is given for jump_masked"),
        (
            ("pics", "--out", "clips", "--miva", "jump_masked", "--mask", "jump_masked=no.png"),
            "There is no mask no.png",
        ),
        (("pics", "--out", "clips", "--miva", "zoom_in", "--mask", "zoom_in=pics"), "no mask stream"),
        (("pics", "--out", "clips", "--miva", "zoom_in", "--save-masks"), "There are no masks to save"),
        (("pics", "--out", "clips", "--miva", "zoom"), "no adapter 'zoom'"),
    ],
)
def test_mistakes_are_told_before_any_picture(
    fail: Callable[..., str], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    for name in ("empty", "words"):
        Path(name).mkdir()
    Path("words/a.txt").write_text("words")
    Path("taken").touch()
    monkeypatch.setattr("miva_core.cli.animator.load_chosen_base", lambda *_: pytest.fail("the base was loaded"))
    assert message in fail("animate", *arguments)


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--render", "latents", "--size", "70x70"), "The size 70×70 cannot be used"),
        (("--render", "latents", "--frames", "99"), "99 cannot be made"),
        (("--frames", "1464"), "1464 frames, 24 a second, are too many for a clip: A clip of 61.0 seconds"),
    ],
)
def test_what_the_base_cannot_make_is_told_once(
    fail: Callable[..., str], options: tuple[str, ...], message: str
) -> None:
    said = fail("animate", "pics", "--out", "clips", *options)
    assert message in said and "a.jpg" not in said


@pytest.mark.usefixtures("pictures")
def test_a_mask_file_that_would_replace_a_clip(fail: Callable[..., str]) -> None:
    picture(64, 64).convert("L").save("m.png")
    picture(64, 64).save("pics/b_jump_masked_mask.jpg")
    command = ("animate", "pics", "--out", "clips", "--miva", "jump_masked", "--mask", "jump_masked=m.png")
    assert "would be written over" in fail(*command, "--save-masks")


@pytest.mark.usefixtures("pictures")
def test_ctrl_c_leaves_whole_clips_alone(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    write = ClipFiles.write

    def stopped(self: ClipFiles, clip: Any, *how: Any) -> None:
        def press(_: Any) -> None:
            if self.out.name == "b.mp4":
                os.kill(os.getpid(), signal.SIGTERM)  # as a launcher ends its processes

        write(self, clip, press)

    monkeypatch.setattr(ClipFiles, "write", stopped)
    before = signal.getsignal(signal.SIGTERM)
    assert main(animate()) == 2
    assert signal.getsignal(signal.SIGTERM) is before
    assert names("clips") == ["a.mp4"] and len(read_at_constant_rate(Path("clips/a.mp4"))[0]) == 3
    assert "The same command goes on with what is missing." in capsys.readouterr().out


# --- several processes -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="gloo and torchrun differ there")
def test_a_launch_shares_the_pictures(pictures: Path) -> None:
    """Two processes as a launcher starts them make each clip once; the first one tells of both."""
    (pictures / "d.png").write_text("This is no picture.\n")
    (pictures / "e.png").touch()
    launch = (
        *("accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"),
        *("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"),
    )
    run = subprocess.run(
        [sys.executable, "-m", *launch, "-m", "miva_core", *animate()],
        env=os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 1, run.stderr
    assert run.stdout.count("Wrote 3 clips into clips.") == 1
    assert run.stderr.count("Error: 2 of 5 pictures could not be animated:") == 1
    assert "  d.png: " in run.stderr and "  e.png: " in run.stderr
    assert names("clips") == ["a.mp4", "b.mp4", "c.mp4"]


def refused(rank: int, port: int, answers: Any) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    with launched_processes(torch.device("cpu")) as processes:
        try:
            processes.agreed(lambda: find_jobs(Namespace(source=Path("no"), out=Path("o"), format="mp4", fps=0), []))
        except MIVAError as error:
            answers.put(str(error))


def test_a_refusal_reaches_all_processes() -> None:
    """One that waits for the others' answer on another machine is ended by no launcher."""
    context = multiprocessing.get_context("spawn")
    answers, port = context.Queue(), free_port()
    processes = [context.Process(target=refused, args=(rank, port, answers)) for rank in range(2)]
    for process in processes:
        process.start()
    told = [answers.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    assert told[0] == told[1] and told[0].startswith("no is no folder")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
