"""Motions and masks as people type them: paths may hold the signs that stand between the parts."""

from pathlib import Path

import pytest

from miva_core.animation.motion_text import parse_mask, parse_motion, parse_words
from miva_core.errors import MIVAError


@pytest.mark.parametrize(
    "name",
    [
        "pan_left",
        r"C:\me@home\pan.safetensors",
        "me@home/pan.safetensors",
        "C:/clips/10_jump@2/pan.SAFETENSORS",
        "a:b@c.safetensors",
        r"C:\me@home\pan",
        "me@home",
        "~/a=b.safetensors",
    ],
)
@pytest.mark.parametrize(("number", "weight"), [("", 1.0), (":0.5", 0.5), (":-1", -1.0), (":1e-2", 0.01)])
@pytest.mark.parametrize(("shares", "span"), [("", (0.0, 1.0)), ("@0-0.5", (0.0, 0.5)), ("@.25-1", (0.25, 1.0))])
def test_a_motion_is_its_parts(name: str, number: str, weight: float, shares: str, span: tuple[float, float]) -> None:
    assert parse_motion(name + number + shares) == (name, weight, span)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("me@home/pan.safetensors:half", "is no weighted adapter"),
        ("me@home/pan.safetensors:", "is no weighted adapter"),
        ("me@home/pan.safetensors:0.5@", "has no span"),
        ("me@home/pan.safetensors@0.5", "has no span"),
        ("pan:1@0.5-0.4", "has no span"),
        ("pan:nan@0-1", "is no weighted adapter"),
        (":0.5", "is no weighted adapter"),
        ("@0-1", "has no span"),
    ],
)
def test_what_is_no_number_is_told(text: str, message: str) -> None:
    with pytest.raises(MIVAError, match=message):
        parse_motion(text)


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        ("jump=mask.png", (), ("jump", "mask.png")),
        ("jump=masks/a=b.png", ("jump",), ("jump", "masks/a=b.png")),
        ("a=b=mask.png", ("a=b",), ("a=b", "mask.png")),
        ("a=b=c=d.png", ("a=b", "hop"), ("a=b", "c=d.png")),
        ("a=b=mask.png", ("a", "a=b"), ("a=b", "mask.png")),
        ("other=mask=1.png", ("jump",), ("other", "mask=1.png")),
    ],
)
def test_a_mask_is_name_and_picture(text: str, names: tuple[str, ...], expected: tuple[str, str]) -> None:
    name, path = parse_mask(text, names)
    assert (name, path) == (expected[0], Path(expected[1]))


def test_the_home_folder_of_a_mask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert parse_mask("jump=~/mask.png", ()) == ("jump", tmp_path / "mask.png")
    assert parse_mask("jump=a~/mask.png", ()) == ("jump", Path("a~/mask.png"))


@pytest.mark.parametrize(
    ("text", "names", "name", "words"),
    [
        ("camera=pan left", {"camera"}, "camera", "pan left"),
        ("a=b=zoom in", {"a=b"}, "a=b", "zoom in"),
        ("other=zoom in", set(), "other", "zoom in"),
    ],
)
def test_words_belong_to_the_motion_before_them(text: str, names: set[str], name: str, words: str) -> None:
    assert parse_words(text, names) == (name, words)


@pytest.mark.parametrize("text", ["pan left", "=pan left", "camera=", "camera= "])
def test_words_without_a_motion_are_refused(text: str) -> None:
    with pytest.raises(MIVAError, match="says no words to a motion"):
        parse_words(text, {"camera"})
