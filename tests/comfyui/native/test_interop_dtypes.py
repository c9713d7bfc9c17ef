"""Weights and activations of fewer bits: motions add no error of their own to the model's."""

import pytest
import torch

from .cases import Case
from .fewer_bits import errors
from .wan_models import SmallWan, native_wan

WEIGHTS = [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]


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
