"""Words on the command line: which of an adapter's motions, and clips that are learnt by the names of their folders."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from miva_core import load_base, read_info

Run = Callable[..., str]


@pytest.fixture
def camera(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> str:
    """An adapter that has learnt a little of two words, on a base for shorter clips, for speed."""
    base = replace(load_base("tiny"), frames=4, steps=1)
    monkeypatch.setattr("miva_core.bases.tiny.loading.load_tiny", lambda *_: base)
    generator = np.random.default_rng(0)
    for words in ("pan left", "zoom_in"):
        for k in range(4):
            path = folder / "clips" / words / "clip" / f"{k:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(generator.integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    Image.new("RGB", (64, 64), "teal").save("cat.png")
    run(
        "train",
        "clips",
        "--words",
        "--out",
        "camera.safetensors",
        "--steps",
        "1",
        "--batch",
        "1",
        "--sample-every",
        "9",
    )
    return "camera.safetensors"


def test_an_adapter_learns_words_and_is_told_one(camera: str, run: Run, fail: Run) -> None:
    info = read_info(camera)
    assert info.words == ("pan left", "zoom in") and info.training["flip"] is False
    assert "words      pan left, zoom in" in run("info", camera)
    animate = ("animate", "cat.png", "--miva", camera, "--steps", "1", "--frames", "2", "--device", "cpu")
    output = run(*animate, "--words", f"{camera}=zoom in", "--out", "a.gif")
    assert "Wrote a.gif" in output and "told which" not in output
    assert "camera holds several motions, and is not told which: say one of" in run(*animate, "--out", "b.gif")
    refused = fail(*animate, "--words", "camera=zoom inn", "--out", "c.gif")
    assert refused.startswith("The words for camera: 'zoom inn' is unknown to this base; say one of pan left, zoom in.")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["pan_left=zoom in"], "pan_left was trained without words, and hears none: leave --words out for it."),
        (
            ["zoom=zoom in"],
            "Words are given for 'zoom', but the motions are pan_left: write --words",
        ),
        (["zoom in"], "'zoom in' says no words to a motion: write its name, = and the words"),
    ],
)
def test_words_for_nobody_are_refused(folder: Path, fail: Run, words: list[str], sentence: str) -> None:
    Image.new("RGB", (64, 64), "teal").save("cat.png")
    options = [option for one in words for option in ("--words", one)]
    assert fail("animate", "cat.png", "--miva", "pan_left", *options, "--out", "a.mp4").startswith(sentence)


def test_a_camera_is_filmed_for_one_motion(folder: Path, fail: Run) -> None:
    assert fail("train", ".", "--film", "pan-left", "--words", "--out", "a.safetensors").startswith("--film films one")
