"""What a model answers reaches the sampler in the precision of its clips."""

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from miva_core.bases.model_predictor import ModelPredictor


class Halves(nn.Module):
    """Answers half of its clips, and a quarter as their flow, in the precision that it gets."""

    def __init__(self, flow: bool) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, clips: Tensor, t: Tensor, encoder_hidden_states: Tensor | None) -> SimpleNamespace:
        self.seen = clips.dtype
        output = SimpleNamespace(sample=clips / 2)
        if self.flow:
            output.flow = clips[:, :2].transpose(1, 2) / 4
        return output


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_output_and_flow_have_the_precision_of_the_clips(dtype: torch.dtype) -> None:
    model, clips = Halves(flow=True), torch.ones(2, 4, 3, 8, 8, dtype=dtype)
    answer = ModelPredictor(model, dtype=torch.bfloat16).predict(clips, torch.tensor(5))
    assert model.seen == torch.bfloat16
    assert torch.equal(answer.output, clips / 2) and answer.output.dtype == dtype
    assert answer.flow is not None and answer.flow.dtype == dtype
    assert torch.equal(answer.flow, torch.full((2, 3, 2, 8, 8), 0.25, dtype=dtype))


def test_a_model_without_flow_answers_none() -> None:
    assert ModelPredictor(Halves(flow=False)).predict(torch.ones(1, 4, 3, 8, 8), torch.tensor(5)).flow is None
