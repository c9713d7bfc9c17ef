"""What every run does to its predictor."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from miva_core.animation.predictors import FiniteAnswers, WithSpans
from miva_core.diffusion.predictor import Answer
from miva_core.errors import MIVAError


class Constant:
    """A predictor that answers one number, and calls a function first."""

    def __init__(self, value: float, then: Callable[[], None] = lambda: None, flow: float = 0.0) -> None:
        self.value, self.then, self.flow = value, then, flow

    def predict(self, clips: Tensor, t: Tensor, step: int, /) -> Answer:
        self.then()
        return Answer(torch.full_like(clips, self.value), torch.full((1, 3, 2, 16, 16), self.flow))


CLIPS, T = torch.zeros(1, 4, 3, 2, 2), torch.tensor(999)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_answers_that_are_no_numbers_end_in_a_sentence(value: float) -> None:
    with pytest.raises(MIVAError, match="3 with hop, my pan:"):
        FiniteAnswers(Constant(value), ["hop", "my pan"]).predict(CLIPS, T, 2)
    with pytest.raises(MIVAError, match=r"NaN .* step 1: take"):
        FiniteAnswers(Constant(value), []).predict(CLIPS, T, 0)
    with pytest.raises(MIVAError, match="step 2"):
        FiniteAnswers(Constant(0.0, flow=value), []).predict(CLIPS, T, 1)


def test_other_answers_pass_as_they_are() -> None:
    answer = FiniteAnswers(Constant(1e30), ["hop"]).predict(CLIPS, T, 0)
    assert answer.output.unique().item() == pytest.approx(1e30) and answer.flow is not None


def test_adapters_are_told_the_share_that_is_done_before_each_step() -> None:
    events: list[float | str] = []
    predictor = WithSpans(Constant(0.0, lambda: events.append("call")), SimpleNamespace(set_progress=events.append), 4)
    for step in range(4):
        predictor.predict(CLIPS, T, step)
    assert events == [0, "call", 0.25, "call", 0.5, "call", 0.75, "call"]
