"""The command `animate` at full size: what its options make of a picture."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from video_files import read_at_constant_rate

from miva_core import load_base
from miva_core.bases.base import Base
from miva_core.cli.arguments import animate as arguments
from miva_core.cli.main import main
from miva_core.clips.camera import EASINGS
from miva_core.measure.metrics import psnr
from miva_core.media import video
from miva_core.media.pictures import read_picture
from miva_core.rendering import view

Size = tuple[int, int]
Made = Callable[..., tuple[torch.Tensor, float, str]]


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base("tiny")


@pytest.fixture(autouse=True)
def quick_base(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    """The built-in base without its loading time."""
    monkeypatch.setattr("miva_core.bases.tiny.loading.load_tiny", lambda *_: base)


def smooth(height: int, width: int, seed: int = 0) -> Image.Image:
    """A picture in colours that survive a codec."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def made(folder: Path, run: Callable[..., str]) -> Made:
    """made(*options, size=(80, 120)): frames and rate of the clip of a picture, and what was said."""

    def make(
        *options: str, size: tuple[int, int] = (80, 120), out: str = "clip.mp4"
    ) -> tuple[torch.Tensor, float, str]:
        smooth(*size).save("cat.png")
        said = run("animate", "cat.png", "--out", out, "--steps", "1", "--device", "cpu", *options)
        return *read_at_constant_rate(folder / out), said

    return make


def test_the_clip_has_the_size_of_its_picture_and_begins_with_it(made: Made) -> None:
    frames, fps, said = made("--miva", "zoom_in", "--frames", "3")
    assert frames.shape == (3, 80, 120, 3) and fps == 24
    assert psnr(frames[0], read_picture("cat.png")) > 34
    assert "Wrote clip.mp4: 3 frames of 120×80 at 24 a second." in said and "The picture was" not in said


@pytest.mark.parametrize(
    ("picture", "options", "size", "told"),
    [
        ((900, 1500), (), (614, 1024), "1024 pixels"),
        ((75, 101), (), (74, 100), "Sides of a clip are even"),
        ((40, 60), (), (64, 96), "enlarged"),
        ((80, 120), ("--size", "48x0"), (32, 48), "scaled 120×80 to 48×32"),
        ((80, 120), ("--size", "0x48"), (48, 72), "scaled 120×80 to 72×48"),
        ((80, 120), ("--size", "48"), (48, 48), "centre-cropped"),
        ((80, 120), ("--size", "48", "--fit", "pad"), (48, 48), "padded"),
        ((80, 120), ("--size", "47x33"), (32, 46), "Sides of a clip are even"),
    ],
)
def test_sizes(
    made: Made, picture: tuple[int, int], options: tuple[str, ...], size: tuple[int, int], told: str
) -> None:
    frames, _, said = made("--miva", "zoom_in", "--frames", "2", *options, size=picture)
    assert frames.shape[1:3] == size and told in said


@pytest.mark.parametrize(
    ("options", "frames", "fps"),
    [
        (("--fps", "12", "--duration", "1"), 12, 12),
        (("--duration", "0.25"), 6, 24),
        (("--fps", "8"), 16, 8),
        (("--fps", "8", "--loop"), 32, 8),
        (("--frames", "5", "--fps", "10"), 5, 10),
        (("--render", "latents"), 16, 8),
    ],
)
def test_times(made: Made, options: tuple[str, ...], frames: int, fps: float) -> None:
    clip, rate, _ = made("--miva", "zoom_in", *options)
    assert len(clip) == frames and rate == fps


def test_easing_and_loop_reach_the_clip(made: Made) -> None:
    def distances(*options: str) -> torch.Tensor:
        frames, _, _ = made("--miva", "zoom_in", "--fps", "8", *options)
        return (frames - frames[0]).abs().mean((1, 2, 3))

    linear, late, there_and_back = distances(), distances("--easing", "ease-in"), distances("--loop")
    assert late[8] < 0.8 * linear[8] and abs(late[-1] - linear[-1]) < 0.1 * linear[-1]
    assert there_and_back[31] < 0.2 * there_and_back[16]
    torch.testing.assert_close(there_and_back[1:16], there_and_back[17:].flip(0), rtol=0.1, atol=2e-3)


def test_edges_reach_the_clip(made: Made) -> None:
    """A camera that moves back begins with a part of the picture, unless what is beyond its edge may be made up."""
    inside, _, said = made("--miva", "zoom_out", "--fps", "8")
    whole, _, mirrored = made("--miva", "zoom_out", "--fps", "8", "--edges", "mirror")
    picture = read_picture("cat.png")
    assert psnr(whole[0], picture) > 34 > psnr(inside[0], picture)
    assert "The clip shows" in said and "The clip shows" not in mirrored


def test_what_the_base_paints_is_small(made: Made) -> None:
    frames, _, _ = made("--miva", "zoom_in", "--render", "latents")
    assert frames.shape[1:3] == (64, 64)


def test_segments_make_what_the_base_paints_longer(made: Made) -> None:
    frames, _, said = made("--miva", "pan_left", "--render", "latents", "--frames", "4", "--segments", "3")
    assert len(frames) == 3 * 3 + 1 and "10 frames" in said
    alone, _, _ = made("--miva", "pan_left", "--render", "latents", "--frames", "4")
    assert psnr(frames[:4], alone) > 30


@pytest.mark.parametrize(("size", "frames"), [((80, 120), 40), ((200, 700), 3)])
def test_a_sheet_shows_some_frames_at_a_moderate_size(made: Made, size: Size, frames: int) -> None:
    clip, _, _ = made("--miva", "zoom_in", "--frames", str(frames), "--sheet", "sheet.png", size=size)
    sheet = np.asarray(Image.open("sheet.png")).astype(float) / 255
    assert sheet.shape[1] <= 8 * 242 and sheet.shape[0] <= 2 * 400
    cells = min(frames, 16)
    width = 242 if size[1] >= 240 else 2 * size[1] + 2
    row, column = divmod(cells - 1, 8)
    top = (24 + round(size[0] * (width - 2) / size[1]) + 2) * row + 24
    shown = torch.from_numpy(sheet[top : top + 40, column * width : column * width + 40]).float()
    last = torch.nn.functional.interpolate(clip[-1:].permute(0, 3, 1, 2), scale_factor=(width - 2) / size[1])
    assert psnr(shown, last[0].permute(1, 2, 0)[:40, :40]) > 25


def test_masks_are_saved_as_large_as_the_clip(made: Made) -> None:
    mask = np.zeros((80, 120), np.uint8)
    mask[30:60, 40:80] = 255
    Image.fromarray(mask).save("subject.png")
    frames, _, said = made("--miva", "jump_masked", "--mask", "jump_masked=subject.png", "--save-masks", "--fps", "8")
    saved, fps = read_at_constant_rate(Path("clip_jump_masked_mask.mp4"))
    assert "Wrote clip_jump_masked_mask.mp4." in said
    assert saved.shape == frames.shape and fps == 8
    assert (saved[0, ..., 0].numpy() - mask / 255).__abs__().mean() < 0.02
    # It moves with its subject, which jumps.
    heights = [torch.nonzero(one[..., 0] > 0.5)[:, 0].float().mean() for one in saved]
    assert min(heights) < heights[0] - 2


def test_an_animation_that_would_fill_the_memory_is_refused(
    folder: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    smooth(80, 120).save("cat.png")
    monkeypatch.setattr(video, "MAX_CLIP_PIXELS", 10 * 80 * 120)
    assert main(["animate", "cat.png", "--out", "clip.gif", "--steps", "1"]) == 2
    assert "Error: A .gif file of 120×80 can have up to 10 frames" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["cat.png"]


def test_a_base_without_flow_is_not_loaded_to_render_at_full_size(
    fail: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    smooth(80, 120).save("cat.png")
    monkeypatch.setattr("miva_core.cli.animator.load_chosen_base", lambda *_: pytest.fail("the base was loaded"))
    said = fail("animate", "cat.png", "--out", "clip.mp4", "--render", "full", "--base", "wan")
    assert "The wan base predicts no flow" in said


def test_a_base_is_not_loaded_to_make_segments_at_full_size(
    fail: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    smooth(80, 120).save("cat.png")
    monkeypatch.setattr("miva_core.cli.animator.load_chosen_base", lambda *_: pytest.fail("the base was loaded"))
    assert "ask for a longer `duration`" in fail("animate", "cat.png", "--out", "clip.mp4", "--segments", "2")


def test_the_arguments_know_the_limits_of_what_they_ask_for() -> None:
    """They are written down a second time, since they are read before anything heavy is loaded."""
    assert arguments.EASINGS == EASINGS
    assert (arguments.SMALLEST_SIDE, arguments.LARGEST_SIDE) == (view.SMALLEST_SIDE, view.LARGEST_SIDE)


def test_help_names_the_choices(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main(["animate", "--help"])
    said = capsys.readouterr().out
    for word in ("PICTURE|FOLDER", "CLIP|FOLDER", "--fps", "--duration", "ease-in-out", "mirror", "latents"):
        assert word in said
