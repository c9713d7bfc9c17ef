"""Weights and activations of fewer bits: motions add no error of their own to the model's."""

from typing import Any

import pytest
import torch
from torch import Tensor

from .adapters import CONFIGS, planned, random_adapter
from .cases import Case
from .runs import sample
from .wan_models import SmallWan, native_wan

WEIGHTS = [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]


def distance(got: Tensor, expected: Tensor) -> float:
    """The root mean square of the difference as a share of the spread."""
    return ((got - expected).pow(2).mean().sqrt() / expected.std()).item()


def errors(case: Case, model: Any) -> tuple[float, float]:
    """How far a MODEL of fewer bits is from the case's own at one step, without motions and with them."""
    motions = [
        planned(random_adapter(case.backbone, CONFIGS[name], k), 0.5, name=name)
        for k, name in enumerate(("default", "joint"))
    ]

    def of(one: Any) -> Tensor:
        # Of one step, whose answer is a sum of noise and what the network says.
        return sample(one, case.latent, case.positive, steps=torch.tensor([1.0, 0.0]))[:, :, 1:]

    without = distance(of(model), of(case.model))
    return without, distance(of(case.applied(*motions, model=model)), of(case.applied(*motions)))


@pytest.mark.parametrize("dtype", WEIGHTS, ids=str)
def test_weights_of_fewer_bits(wan: SmallWan, wan_case: Case, dtype: torch.dtype) -> None:
    plain, with_motions = errors(wan_case, native_wan(wan.state, dtype=dtype))
    assert 1e-5 < plain < 0.3
    assert with_motions < 1.3 * plain


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_activations_of_fewer_bits(wan_case: Case, dtype: torch.dtype) -> None:
    model = wan_case.model.clone()
    model.set_model_compute_dtype(dtype)
    plain, with_motions = errors(wan_case, model)
    assert 1e-5 < plain < 0.05
    assert with_motions < 1.5 * plain
