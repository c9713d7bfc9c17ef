"""Scores of a flow: of the true one, and of ones that are wrong in a known way."""

import math

import pytest
import torch
from torch import Tensor

from benchmarks.miramo.cases import Case, cases
from benchmarks.miramo.scores import Scores, scores_of
from benchmarks.miramo.tables import missed
from miva_core.bases.miramo.layered_flow import MASK_GUIDE
from tools.motion_world.batch import WORD_IDS, WorldBatch

SIZE = (8, 12)


def batch(word: str = "drift_left") -> WorldBatch:
    """One clip of three frames whose left half goes 1 and 2 pixels, and whose last row is not trusted."""
    local = torch.zeros(1, 3, *SIZE)
    local[..., :6] = 1
    flow = torch.zeros(1, 3, 2, *SIZE)
    flow[:, 1, 0, :, :6], flow[:, 2, 0, :, :6] = 1.0, 2.0
    trusted = torch.ones(1, 3, *SIZE)
    trusted[:, :, -1] = 0
    still = torch.zeros(1, *SIZE)
    return WorldBatch(
        torch.zeros(1, 3, 3, *SIZE),
        flow,
        trusted,
        local,
        local[:, 0],
        still,
        local[:, 0],
        torch.tensor([MASK_GUIDE]),
        torch.tensor([[0, WORD_IDS[word], 0]]),
        torch.tensor([[0.0, 1.0, 0.0]]),
        torch.zeros(1, 3, 2),
        torch.arange(3.0),
        ("region",),
    )


def turned(flow: Tensor, degrees: float) -> Tensor:
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    x, y = flow.unbind(2)
    return torch.stack([cos * x - sin * y, sin * x + cos * y], 2)


def test_the_true_flow_has_no_error() -> None:
    clip = batch()
    clip.flow[:, :, :, -1] = 100.0  # where it is not trusted
    scores = scores_of(clip.flow, clip)
    assert (scores.relative, scores.speed.item(), scores.right.item(), scores.leak.item()) == (0, 1, True, 0)
    assert scores.size.item() == pytest.approx(1.5)


def test_half_of_the_flow_has_half_the_speed() -> None:
    scores = scores_of(batch().flow / 2, batch())
    assert (scores.relative, scores.speed.item(), scores.right.item()) == (0.5, 0.5, True)


@pytest.mark.parametrize(("degrees", "right"), [(30, True), (60, False), (180, False)])
def test_what_goes_another_way_is_wrong(degrees: float, right: bool) -> None:
    scores = scores_of(turned(batch().flow, degrees), batch())
    assert scores.right.item() == right
    assert scores.speed.item() == pytest.approx(math.cos(math.radians(degrees)), abs=1e-6)
    assert scores.relative == pytest.approx(2 * math.sin(math.radians(degrees) / 2), abs=1e-6)


def test_what_moves_where_nothing_should_is_a_leak() -> None:
    clip = batch()
    flow = clip.flow.clone()
    flow[:, :, 1, :, 6:] = 0.25
    scores = scores_of(flow, clip)
    assert (scores.relative, scores.leak.item()) == (0, 0.25)


def test_a_still_picture_goes_no_way() -> None:
    scores = scores_of(torch.zeros_like(batch().flow), batch())
    assert (scores.relative, scores.speed.item(), scores.right.item()) == (1, 0, False)


def test_every_limit_is_held_to() -> None:
    def found(error: float, speed: float, right: bool) -> Scores:
        one = torch.ones(1)
        return Scores(error * one, one, speed * one, torch.tensor([right]), one)

    pan = Case("pan_left")
    assert missed(pan, found(0.08, 1.0, True)) == []
    assert missed(pan, found(0.09, 0.8, False)) == ["error > 0.08", "direction", "speed"]
    assert missed(Case("sway", guided=True), found(0.44, 0.5, True)) == []
    assert missed(Case("dolly_in", guided=False), found(0.34, 0.8, True)) == []
    assert missed(Case("sway", guided=False), found(1.0, 0.0, False)) == []


def test_every_word_is_asked_for() -> None:
    asked = cases()
    assert {case.word for case in asked} == set(WORD_IDS) - {""}
    assert len(asked) == len(set(asked))
