"""A U-Net that another node compiles: it runs as it is, and no pass uses what belongs to an earlier one."""

from collections.abc import Iterator

import pytest
import torch
from comfy_api.torch_helpers import set_torch_compile_wrapper
from comfy_extras.nodes_torch_compile import skip_torch_compile_dict

from .adapters import planned, random_adapter
from .cases import Case, Order
from .runs import error, overridden, sample


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_compiled_model_gives_the_clip_of_each_run(sd15_case: Case, order: Order) -> None:
    case = sd15_case

    def compiled(model):  # type: ignore[no-untyped-def]
        model = model.clone()
        set_torch_compile_wrapper(model, backend="eager", options={"guard_filter_fn": skip_torch_compile_dict})
        return model

    clips = []
    for seed, strength in ((1, 0.6), (2, 0.3)):
        motion = planned(random_adapter(case.backbone, seed=seed), strength)
        expected = sample(case.applied(motion), case.latent, case.positive, steps=2)
        clips.append(sample(case.beside(compiled, order, motion), case.latent, case.positive, steps=2))
        assert torch.equal(clips[-1], expected)
    assert error(clips[0], clips[1]) > 1e-2
    assert overridden(case.net) == []
