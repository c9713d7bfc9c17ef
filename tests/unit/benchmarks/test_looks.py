"""What sheets of shipped motions show, and what is marked on photographs."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from benchmarks.looks.outlines import NEARNESS, OUTLINES, SKIES
from benchmarks.looks.photographs import WORKFLOWS, Photographs, _drawn, _thresholded
from benchmarks.looks.shown import OF_FILM, OF_MIRAMO, OF_TINY
from miva_core.adapters.info import read_info
from miva_core.bases.library import find_adapters
from miva_core.motion_fields.motions import MOTIONS

ROOT = Path(__file__).parents[3]
GROUPS = [group for sheet in (*OF_FILM, *OF_MIRAMO, *OF_TINY) for group in sheet.groups]


def test_sheets_show_five_photographs_that_are_listed_with_what_their_motions_need() -> None:
    listed = set(re.findall(r"^\| ([\w.-]+?)(?:\.jpg)? \|", (ROOT / "PHOTOGRAPHS.md").read_text("utf-8"), re.M))
    listed |= {"miva_chenonceau"}  # in a heading
    shipped = find_adapters()
    for group in GROUPS:
        assert len({name for name, _ in group.shown}) == 5
        for name, part in group.shown:
            marked = (name, part) in OUTLINES or (WORKFLOWS / f"{name}_{part}.png").exists()
            assert name in listed and (not part or marked or (part == "sky" and name in SKIES))
        for motion in group.motions:
            named = MOTIONS.get(motion)
            masked = named.needs == "mask" if named else read_info(shipped[motion]).config.takes_mask
            assert masked == all(part for _, part in group.shown), motion


def test_nearness_is_drawn_of_what_is_outlined() -> None:
    assert all((name, part) in OUTLINES for name, (part, _, _) in NEARNESS.items())


def test_what_lies_in_two_outlines_is_left_out() -> None:
    square, hole = ((0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9)), ((0.4, 0.4), (0.6, 0.4), (0.6, 0.6), (0.4, 0.6))
    mask = _drawn(torch.zeros(100, 200, 3), (square, hole))
    assert mask[50, 60] > 0.99 and mask[50, 100] < 0.01 and mask[2, 2] < 0.01


def test_a_sky_ends_at_green_domes() -> None:
    picture = torch.tensor([0.5, 0.7, 0.9]).expand(60, 80, 3).clone()
    picture[20:, 20:40] = torch.tensor([0.5, 0.8, 0.75])
    sky = _thresholded(picture, 0.62, -0.03, 2.0, 1.0)
    assert sky[5].min() > 0.9 and sky[40, 30] < 0.1 and sky[40, 60] > 0.9


def test_nearness_is_a_ground_that_rises_with_what_stands_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cv2.imwrite(str(tmp_path / "cat.jpg"), np.zeros((100, 150, 3), np.uint8))
    monkeypatch.setitem(NEARNESS, "cat", ("box", 0.8, (0.1, 0.9, 0.5)))
    monkeypatch.setattr(Photographs, "_mask", lambda self, name, part: torch.eye(100, 150))
    nearness = Photographs([tmp_path]).nearness("cat")
    assert nearness is not None
    assert nearness[20, 50] == pytest.approx(0.1) and nearness[99, 0] == pytest.approx(0.9, abs=0.01)
    assert nearness[30, 30] == pytest.approx(0.8) and nearness[75, 0] == pytest.approx(0.508, abs=0.001)
    assert Photographs([tmp_path]).nearness("dog") is None
