"""Motions that are said to a base on the command line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from worded_base import WORDS, worded_base

from miva_core import Base
from miva_core.animation.motion_text import parse_said
from miva_core.bases import library
from miva_core.bases.loading import load_base
from miva_core.bases.miramo import spec
from miva_core.bases.registry import BASES
from miva_core.cli import chosen
from miva_core.errors import MIVAError
from miva_core.media.video import write_png

SIZE = (64, 96)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return worded_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def stage(folder: Path, base: Base, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a picture, a mask of its middle and a depth map, and the base whose words are exact."""
    monkeypatch.setattr(chosen, "load_base", lambda *_, **__: base)
    write_png(torch.rand(*SIZE, 3), folder / "still.png")
    write_png(middle()[..., None].expand(-1, -1, 3), folder / "middle.png")
    write_png(torch.linspace(0, 1, SIZE[0])[:, None, None].expand(*SIZE, 3), folder / "near.png")
    return folder


def middle() -> Tensor:
    mask = torch.zeros(SIZE)
    mask[20:44, 30:60] = 1
    return mask


def test_words_have_a_speed() -> None:
    assert parse_said("dolly in=0.6")[:2] == ("dolly in", 0.6)
    assert parse_said("  Dolly   in ")[:2] == ("Dolly in", 1.0)
    for text in ("=0.5", "dolly in=fast", "dolly in=", "pan=inf", "dolly in:0.6"):
        with pytest.raises(MIVAError, match="says no motion: write words of the base"):
            parse_said(text)


def test_a_clip_is_made_by_words(stage: Path, run: Callable[..., str]) -> None:
    said = ["--say", "dolly in=0.6", "--say", "drift left", "--degree", "drift left=0.5"]
    said += ["--frames-strength", "drift-left=0,1", "--mask", "drift-left=middle.png", "--depth", "near.png"]
    files = ["--out", "clip.gif", "--save-masks", "--fps", "2", "--duration", "1"]
    told = run("animate", "still.png", *said, *files)
    assert (stage / "clip_drift_left_mask.gif").exists()
    assert "drift left at degree 0.5: the speed 0.62." in told
    assert "Wrote clip.gif: 2 frames of 96×64 at 2 a second." in told


PAN, DRIFT, DOLLY = ["--say", "pan left"], ["--say", "drift left"], ["--say", "dolly in"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--say", "pan lift"], "'pan lift' is unknown to this base; the nearest that it knows are pan left"),
        ([*PAN, "--mask", "pan left=middle.png"], "A mask is given for pan left, but pan left moves the whole picture"),
        ([*DRIFT, "--mask", "drift left=still.png"], "still.png is a picture in colours, but a mask is white on what"),
        (
            [*DRIFT, "--mask", "sway=middle.png"],
            "A mask is given for 'sway', but the motions are drift left: "
            'write --mask "drift left=middle.png", for example.',
        ),
        (["--miva", "dolly-out"], "There is no adapter 'dolly-out', but a word: write --say \"dolly out\"."),
        (
            ["--say", "Pan up left=0.5"],
            "'Pan up left' is no word of a base, but a motion in a file: write --miva pan_up_left.",
        ),
        ([*PAN, "--words", "pan left=zoom in"], "pan left is said to the base itself: leave --words out for it."),
        ([*PAN, "--degree", "pan left=2"], "The degree of pan left is 2.0, expected a number from 0 to 1"),
        ([*PAN, "--strength", "pan left=0,1"], "The speed of pan left has a curve over the run"),
        ([*PAN, "--edg", "pan left"], "The speed of pan left has a curve over the run"),
        ([*PAN, "--frames-strength", "pan left=0,1/prompt"], "pan left is said in words, which have one speed"),
        ([*DOLLY, "--depth", "still.png"], "The depth map is a picture in colours"),
        ([*DOLLY, "--depth", "gone.png"], "There is no picture gone.png"),
        (["--mask", "sky=middle.png"], "A mask is given for 'sky', but no motion: name it by --miva or --say, too."),
    ],
)
def test_what_cannot_be_said_is_refused(
    stage: Path, fail: Callable[..., str], options: list[str], message: str
) -> None:
    assert fail("animate", "still.png", "--out", "clip.mp4", *options).startswith(message)


def test_a_base_without_a_depth_map_is_not_even_loaded(stage: Path, fail: Callable[..., str]) -> None:
    told = fail("animate", "still.png", "--base", "tiny", "--depth", "near.png", "--out", "clip.mp4")
    assert told.startswith("The tiny base takes no mask or depth map as a guide: leave it out, or choose the base mira")


def test_pictures_of_a_folder_have_depth_maps_of_their_names(stage: Path, run: Callable[..., str]) -> None:
    for name in ("stills", "maps"):
        (stage / name).mkdir()
    for name in ("a", "b"):
        write_png(torch.rand(*SIZE, 3), stage / "stills" / f"{name}.png")
    write_png(torch.linspace(0, 1, SIZE[0])[:, None, None].expand(*SIZE, 3), stage / "maps" / "a_depth.png")
    (stage / "near.png").rename(stage / "maps" / "b.png")
    options = ["--say", "truck right=0.3", "--depth", "maps", "--frames", "2"]
    told = run("animate", "stills", *options, "--out", "clips")
    assert "Wrote 2 clips into clips." in told and "No depth map" not in told


@pytest.mark.parametrize("depth", ["near.png", "gone"])
def test_one_depth_map_is_not_taken_for_all_pictures(stage: Path, fail: Callable[..., str], depth: str) -> None:
    (stage / "stills").mkdir()
    (stage / "still.png").rename(stage / "stills" / "a.png")
    told = fail("animate", "stills", "--base", "miramo", *DOLLY, "--depth", depth, "--out", "clips")
    assert told.startswith(
        f"{depth} is no folder, but each picture of a folder has a depth map of its own: name a fold"
    )


def test_the_words_of_a_base_are_listed(
    run: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of its file, whatever else has a formula."""
    monkeypatch.setattr(library, "shipped_folders", list)
    save_file({"weight": torch.zeros(1)}, tmp_path / "words.safetensors", {"words": json.dumps(WORDS)})
    shutil.copytree(spec.WEIGHTS, tmp_path, ignore=shutil.ignore_patterns("*.safetensors"), dirs_exist_ok=True)
    monkeypatch.setattr(spec, "WEIGHTS", tmp_path)
    lines = [line for line in run("list").splitlines() if line.startswith("  miramo")]
    words = [word.partition(" ")[2].replace("_", " ") for word in WORDS]
    assert lines == [f"  miramo           the built-in MiraMo (default), by the words {', '.join(words)}"]


def test_the_words_of_the_shipped_base_are_those_that_it_hears() -> None:
    known = load_base("miramo").vocabulary
    assert known is not None and known.words == tuple(BASES["miramo"].words())
