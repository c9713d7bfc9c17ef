"""A Wan that another node compiles: each run has its own motions, and each step what acts in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from comfy_api.torch_helpers import set_torch_compile_wrapper
from comfy_extras.nodes_torch_compile import skip_torch_compile_dict
from torch._dynamo.utils import counters

from .adapters import planned, random_adapter
from .cases import Case
from .runs import error, overridden, sample
from .wan_models import SmallWan


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


@pytest.fixture(scope="module")
def case(wan: SmallWan) -> Case:
    return Case.of("wan", wan.model, wan.reference, wan.backbone)


@pytest.mark.parametrize("keys", [["diffusion_model"], [f"diffusion_model.blocks.{k}" for k in range(3)]])
def test_each_run_has_its_own_motions_and_each_step_what_acts(case: Case, keys: list[str]) -> None:
    def compiled(model: Any) -> Any:
        model = model.clone()
        options = {"guard_filter_fn": skip_torch_compile_dict}
        set_torch_compile_wrapper(model, backend="eager", keys=keys, options=options)
        return model

    one, other = (random_adapter(case.backbone, seed=seed) for seed in (1, 2))
    sets = [
        [planned(one, 0.6)],
        [planned(other, 0.6)],
        [planned(one)],
        [planned(one, 0.4, (0.0, 0.5)), planned(other, 0.6, (0.25, 1.0))],
    ]
    for motions in sets:
        model = case.applied(*motions)
        expected = sample(model, case.latent, case.positive, steps=4)
        assert error(sample(compiled(model), case.latent, case.positive, steps=4), expected) < 2e-5
    traced = counters["stats"]["unique_graphs"]
    again = case.applied(planned(other, 0.6))
    sample(compiled(again), case.latent, case.positive, steps=4)
    assert counters["stats"]["unique_graphs"] == traced > 0
    assert overridden(case.net) == []
