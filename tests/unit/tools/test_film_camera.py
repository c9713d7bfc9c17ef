"""The clips of camera moves that have no word."""

import math
from pathlib import Path

import pytest
import torch
from PIL import Image

from miva_core.measure.metrics import clip_flow, expansion, median_flow, rotation
from tools import film_camera
from tools.procedural.backdrops import paint_backdrops


@pytest.fixture(autouse=True)
def one_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    painted = paint_backdrops(1, 256, seed=1)[0].permute(1, 2, 0).numpy()
    Image.fromarray(painted).save(tmp_path / "still.png")
    monkeypatch.setattr(film_camera, "STILLS", tmp_path)
    monkeypatch.setattr(film_camera, "CLIPS_PER_STILL", 1)


def clip(move: str) -> torch.Tensor:
    ((_, frames),) = film_camera.filmed(film_camera.MOVES[move], seed=0)
    return frames.permute(0, 2, 3, 1)


def test_what_a_camera_sees_goes_down_and_to_the_right_as_it_pans_up_and_to_the_left() -> None:
    assert median_flow(clip_flow(clip("pan_up_left"))).tolist() == pytest.approx([0.7, 0.7], abs=0.1)


def test_a_spiral_comes_closer_and_turns() -> None:
    flow, turned = clip_flow(clip("spiral")), clip_flow(clip("spiral").flip(2))
    assert expansion(flow) == pytest.approx(0.02, rel=0.2)
    assert abs(rotation(flow)) == pytest.approx(math.radians(1.4), rel=0.2)
    assert rotation(flow) == pytest.approx(-rotation(turned), rel=0.2)
