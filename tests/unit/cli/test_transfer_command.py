"""The command `transfer`, from files to files."""

from pathlib import Path

import pytest
import torch

from miva_core.cli.main import main
from miva_core.clips.files import read_frames
from miva_core.media.video import write_png, write_video


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A clip of 12 frames a second that pans, and a picture."""
    generator = torch.Generator().manual_seed(0)
    large = torch.nn.functional.interpolate(torch.rand(1, 3, 24, 36, generator=generator), (72, 120), mode="bicubic")
    picture = large[0].permute(1, 2, 0).clamp(0, 1)
    write_video([picture[:64, 20 - 2 * i : 116 - 2 * i] for i in range(4)], tmp_path / "clip.mp4", 12)
    write_png(picture.flip(0)[:48, :72], tmp_path / "picture.png")
    return tmp_path


def test_a_picture_moves_like_a_clip(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "out.mp4"
    command = ["transfer", str(folder / "clip.mp4"), str(folder / "picture.png"), "--out", str(out)]
    assert main([*command, "--save-invented", "--sheet", str(folder / "sheet.png")]) == 0
    assert "4 frames of 72×48 at 12 a second" in capsys.readouterr().out
    frames, invented = read_frames(out), read_frames(folder / "out_invented_mask.mp4")
    assert frames.shape == invented.shape == (4, 48, 72, 3) and (folder / "sheet.png").is_file()
    # Six of 96 pixels of the clip are four and a half of the picture's 72.
    assert (frames[3, :, 9:] - frames[0, :, 5:-4]).abs().mean() < 0.1 < 0.8 < invented[3, :, :4].mean()
    assert invented[3, :, 8:].mean() < 0.1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--out", "clip.mp4"], "would be written over"),
        (["--out", "clip.txt"], "clip.txt cannot be written by its ending"),
        (["--out", "new.mp4", "--strength", "3"], "'3' is not a number from 0 to 2"),
        (["--out", "new.mp4", "--mask", "none.png"], "none.png"),
    ],
)
def test_what_cannot_be_done_is_said_and_writes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, change: list[str], said: str
) -> None:
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    assert main(["transfer", "clip.mp4", "picture.png", *change]) == 2
    message = capsys.readouterr().err
    assert said in message and message.count("\n") == 1 and sorted(folder.iterdir()) == before
