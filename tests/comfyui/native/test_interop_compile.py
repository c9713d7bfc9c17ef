"""torch.compile of a MODEL with motions: the same clip, and nothing is compiled again in a second run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from comfy_api.torch_helpers import set_torch_compile_wrapper
from comfy_extras.nodes_torch_compile import skip_torch_compile_dict
from torch._dynamo.utils import counters

from .adapters import MASKED, planned, random_adapter
from .cases import Case, Order
from .runs import sample

WHOLE, BLOCKS = ["diffusion_model"], [f"diffusion_model.blocks.{k}" for k in range(3)]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def compiled(keys: list[str]) -> Any:
    def change(model: Any) -> Any:
        model = model.clone()
        # Nothing is compiled to machine code; what is traced, and how often, is the same.
        set_torch_compile_wrapper(
            model, backend="eager", keys=keys, options={"guard_filter_fn": skip_torch_compile_dict}
        )
        return model

    return change


def assert_same(case: Case, keys: list[str], order: Order, *motions: Any) -> None:
    expected = sample(case.applied(*motions), case.latent, case.positive, steps=2)
    model = case.beside(compiled(keys), order, *motions)
    assert torch.equal(sample(model, case.latent, case.positive, steps=2), expected)
    traced = counters["stats"]["unique_graphs"]
    assert traced > 0
    assert torch.equal(sample(model, case.latent, case.positive, steps=2), expected)
    assert counters["stats"]["unique_graphs"] == traced


def test_blocks_that_are_compiled_give_the_same_clip(wan_case: Case) -> None:
    assert_same(wan_case, BLOCKS, "after", planned(random_adapter(wan_case.backbone), 0.6))


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_network_that_is_compiled_gives_the_same_clip(wan_case: Case, order: Order) -> None:
    assert_same(wan_case, WHOLE, order, planned(random_adapter(wan_case.backbone), 0.6))


def test_masks_are_made_in_a_compiled_network_too(wan_case: Case) -> None:
    masked = wan_case.masked(random_adapter(wan_case.backbone, MASKED))
    assert_same(wan_case, WHOLE, "after", planned(random_adapter(wan_case.backbone), 0.6), masked)
