"""The command `film`, from files to files."""

from pathlib import Path

import pytest
import torch

from miva_core.cli.main import main
from miva_core.clips.files import read_frames
from miva_core.media.video import write_png


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A picture, a mask of its upper half, another of its left half, and a depth map."""
    generator = torch.Generator().manual_seed(0)
    picture = torch.nn.functional.interpolate(torch.rand(1, 3, 8, 12, generator=generator), (64, 96), mode="bicubic")
    write_png(picture[0].permute(1, 2, 0).clamp(0, 1), tmp_path / "picture.png")
    upper, left = torch.zeros(64, 96, 3), torch.zeros(64, 96, 3)
    upper[:28], left[40:, :30] = 1, 1
    ramp = torch.linspace(0, 1, 64)[:, None, None].expand(64, 96, 3)
    for name, pixels in {"upper": upper, "left": left, "ramp": ramp}.items():
        write_png(pixels, tmp_path / f"{name}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_parts_of_a_picture_move_and_their_masks_are_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = (
        "film picture.png --out out.mp4 --motion drift-left=0.8 --motion sway --motion dolly-in=0.4 --depth ramp.png"
    )
    masks = "--mask sway=left.png --mask drift-left=upper.png --save-masks --sheet sheet.png --fps 8 --duration 1"
    assert main([*command.split(), *masks.split()]) == 0
    assert "Wrote out.mp4: 8 frames of 96×64 at 8 a second." in capsys.readouterr().out
    assert (folder / "sheet.png").is_file() and read_frames(folder / "out.mp4").shape == (8, 64, 96, 3)
    sky, tree = (read_frames(folder / f"out_{name}_mask.mp4")[0, ..., 0] for name in ("drift-left", "sway"))
    assert sky[4:20].mean() > 0.9 > 0.1 > sky[36:].mean() and tree[44:60, 4:24].mean() > 0.9 > 0.1 > tree[:, 50:].mean()


def test_one_motion_needs_no_name_at_its_mask(folder: Path) -> None:
    command = "film picture.png --out out.gif --motion ripple --mask upper.png --fps 8 --duration 0.5"
    assert main(command.split()) == 0
    assert (folder / "out.gif").is_file()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("--out picture.png --motion pan-left", "picture.png cannot be written by its ending"),
        ("--out new.mp4 --motion pan-leff", "'pan-leff' is no motion; nearest are pan-left"),
        ("--out new.mp4 --motion pan-left=fast", "The speed in --motion pan-left=fast is no number"),
        ("--out new.mp4 --motion sway", "sway moves a part of the picture and needs a mask"),
        ("--out new.mp4 --motion sway --mask none.png", "none.png"),
        ("--out new.mp4 --motion sway --mask picture.png", "picture.png is a picture in colours, but a mask is white"),
        ("--out new.mp4 --motion sway --mask left.png --front picture.png", "picture.png is a picture in colours, but"),
        ("--out new.mp4 --motion sway --motion flag --mask left.png", "Of which motion is the mask left.png?"),
        ("--out new.mp4 --motion sway --mask left.png --mask upper.png", "is one more than there are motions"),
        ("--out new.mp4 --motion sway --mask flag=left.png", "is for flag, but the motions are sway"),
        ("--out new.mp4 --motion pan-left --save-masks", "There are no masks to save"),
        ("--out new.mp4 --motion dolly-in --depth picture.png", "The depth map is a picture in colours"),
    ],
)
def test_what_cannot_be_done_is_said_and_writes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], change: str, said: str
) -> None:
    before = sorted(folder.iterdir())
    assert main(["film", "picture.png", *change.split()]) == 2
    message = capsys.readouterr().err
    assert said in message and message.count("\n") == 1 and sorted(folder.iterdir()) == before
