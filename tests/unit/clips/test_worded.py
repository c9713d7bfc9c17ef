"""Clips with words: by sub-folder, or by a text beside them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from miva_core.clips.training_clip import ClipSpec
from miva_core.clips.worded import read_worded_clips
from miva_core.errors import MIVAError

SPEC = ClipSpec((8, 8), 3, 8.0)


def clip(folder: Path, name: str, masked: bool = False) -> None:
    for k in range(3):
        for inside in (name, *([f"{name}_masks"] if masked else [])):
            path = folder / inside / f"{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((8, 8), 255, np.uint8)).save(path)


def said(folder: Path, masks: int = 0) -> dict[str, str]:
    return {found.name: found.words for found in read_worded_clips(folder, SPEC, masks)}


def test_sub_folders_and_texts_say_what_clips_show(tmp_path: Path) -> None:
    clip(tmp_path / "pan_left", "one")
    clip(tmp_path / "pan_left", "two")
    (tmp_path / "pan_left" / "two.txt").write_text("﻿pan  left,\njump\n", encoding="utf-8")
    clip(tmp_path / "zoom in", "one")
    clip(tmp_path, "here")
    (tmp_path / "here.txt").write_text("roll cw")
    assert said(tmp_path) == {
        "here": "roll cw",
        "pan_left/one": "pan left",
        "pan_left/two": "pan left, jump",
        "zoom in/one": "zoom in",
    }


def test_masks_are_read_for_all_or_for_none(tmp_path: Path) -> None:
    clip(tmp_path / "jump", "one", masked=True)
    clip(tmp_path / "sway", "one", masked=True)
    assert [len(found.masks) for found in read_worded_clips(tmp_path, SPEC, 1)] == [1, 1]
    clip(tmp_path / "rise", "one")
    with pytest.warns(UserWarning, match="rise/one"):
        assert [len(found.masks) for found in read_worded_clips(tmp_path, SPEC, 0)] == [0, 0, 0]


@pytest.mark.parametrize("text", [None, " \n", b"\xff\xfe\x00", "pan left" * 2000])
def test_clips_without_words_are_named(tmp_path: Path, text: str | bytes | None) -> None:
    clip(tmp_path, "one")
    if text is not None:
        (tmp_path / "one.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(MIVAError, match=r"\bone\b") as raised:
        said(tmp_path)
    assert "\n" not in str(raised.value) and str(raised.value).endswith(".")


def test_a_folder_without_clips_is_refused_as_ever(tmp_path: Path) -> None:
    with pytest.raises(MIVAError, match="no clips"):
        said(tmp_path)
    with pytest.raises(MIVAError, match="There is no folder"):
        said(tmp_path / "gone")
