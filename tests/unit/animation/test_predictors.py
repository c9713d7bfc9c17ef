"""What every run does to its predictor."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from miva_core.animation.predictors import FiniteAnswers, WithProgress
from miva_core.diffusion.noise_process import NoiseProcess
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


def test_adapters_are_told_how_far_the_run_is_before_each_step() -> None:
    events: list[Any] = []
    injection = SimpleNamespace(set_progress=lambda *shares: events.append(shares))
    predictor = WithProgress(Constant(0.0, lambda: events.append("call")), injection, NoiseProcess(DDIMScheduler()), 4)
    for step in range(4):
        predictor.predict(CLIPS, torch.tensor(999 - 250 * step), step)
    told = [(0, 0.001), (0.25, 0.251), (0.5, 0.501), (0.75, 0.751)]
    assert events[1::2] == ["call"] * 4
    assert torch.tensor(events[::2]).allclose(torch.tensor(told))
