"""Adapters' parameters may be stacked once for a run: nothing changes, and nothing is copied any more."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from miva_core.adapters.adapter import MIVAAdapter
from miva_core.adapters.config import MIVAConfig
from miva_core.attention.injection import Injection
from miva_core.attention.strength import Strength
from miva_core.bases.describe import describe
from miva_core.bases.inject import inject

LOW_RANK = MIVAConfig(cfa_rank=3, ca_rank=4, ta_rank=2, cfa_q_bias=True, cfa_out_bias=True)
FULL_RANK = replace(LOW_RANK, cfa_rank=None, cfa_softmax="joint", ca_act="softmax", ca_norm=False, gate_bias=False)
CONFIGS = {
    "pan": LOW_RANK,
    "rain": FULL_RANK,
    "zoom": LOW_RANK,
    "jump": replace(LOW_RANK, mask=True),
    "sway": replace(LOW_RANK, mask=True),
    "spin": replace(FULL_RANK, mask=True),
    "glide": replace(LOW_RANK, degree=True),
}
HEARING = {"camera": replace(LOW_RANK, words=True)}
"""Where there is attention over time."""
MASKS = ("jump", "sway", "spin")
COPIES = ("cat", "stack", "clone", "copy_", "_to_copy", "contiguous")


@pytest.fixture(params=["unet", "wan"])
def family(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def make_model(family: str, make_unet: Callable, make_wan: Callable) -> Callable[[], nn.Module]:
    return make_unet if family == "unet" else make_wan


@pytest.fixture
def adapters(family: str, make_model: Callable, make_adapter: Callable) -> dict[str, MIVAAdapter]:
    """In float32, with strengths that leave something to the base."""
    model, configs = make_model(), CONFIGS | (HEARING if family == "unet" else {})
    return {name: make_adapter(model, config) for name, config in configs.items()}


@pytest.fixture
def injected(adapters: dict[str, MIVAAdapter]) -> Callable[[nn.Module], Injection]:
    def at_work(model: nn.Module) -> Injection:
        miva = inject(model, **adapters)
        miva.set_weights(**{name: Strength(0.1 + 0.1 * k, 0.3, -0.2) for k, name in enumerate(adapters)})
        miva.set_degrees(glide=0.6)
        text = torch.randn(3, 16, generator=torch.Generator().manual_seed(5))
        miva.set_words(**{name: text for name in HEARING if name in adapters})
        return miva

    return at_work


def batch(model: nn.Module, rows: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    words = rows if describe(model).family == "wan" else 3 * rows
    latents, text = torch.randn(rows, 4, 3, 4, 6, generator=generator), torch.randn(words, 5, 16, generator=generator)
    return latents.to(model.dtype), torch.full((rows,), 400), text.to(model.dtype)


def masks(names: tuple[str, ...] = MASKS) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(4)
    return {name: torch.rand(1, 3, 4, 6, generator=generator) for name in names}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@torch.no_grad()
def test_frozen_adapters_give_the_same_to_the_last_digit(
    make_model: Callable, injected: Callable, dtype: torch.dtype
) -> None:
    """Plain and beside masks, whatever the model computes in."""
    model = make_model().to(dtype)
    with injected(model) as miva:
        plain = model(*batch(model, 1)).sample
        miva.set_mask_streams(True)
        miva.set_masks(masks())
        guided = model(*batch(model, 4)).sample
        miva.freeze()
        assert torch.equal(model(*batch(model, 4)).sample, guided)
        miva.set_mask_streams(False)
        miva.set_masks(None)
        assert torch.equal(model(*batch(model, 1)).sample, plain)
        miva.set_weights(rain=2.0)
        assert not torch.equal(model(*batch(model, 1)).sample, plain)


class CopiesOf(TorchDispatchMode):
    """Notes every operation that copies one of some tensors, or a part of one."""

    def __init__(self, tensors: Iterator[Tensor]) -> None:
        super().__init__()
        self.storages = {tensor.untyped_storage().data_ptr() for tensor in tensors}
        self.names: list[str] = []

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if operation.overloadpacket.__name__ in COPIES:
            met = [value for value in tree_iter((args, kwargs)) if isinstance(value, Tensor)]
            if any(tensor.untyped_storage().data_ptr() in self.storages for tensor in met):
                self.names.append(operation.overloadpacket.__name__)
        return operation(*args, **(kwargs or {}))


def frozen_tensors(miva: Injection, model: nn.Module) -> Iterator[Tensor]:
    """All that the injection froze, reached as processors reach it."""
    for site in describe(model).sites:
        for group in model.get_submodule(site.path).processor.processor.groups:
            kinds = {"sa": ("cross_frames", "gates"), "ca": ("prompts",), "ta": ("temporals",)}[site.kind]
            names = (*kinds, "mask_cross_frames") if site.kind == "sa" and group.config.mask else kinds
            for name in names:
                yield from leaves(getattr(group, name))


def leaves(stack: Any) -> Iterator[Tensor]:
    for value in vars(stack).values():
        if isinstance(value, Tensor):
            yield value
        elif value is not None:
            yield from leaves(value)


@torch.no_grad()
def test_a_forward_pass_of_frozen_adapters_copies_no_parameter(
    make_model: Callable, injected: Callable, adapters: dict[str, MIVAAdapter]
) -> None:
    """Nor joins or casts one; before they are frozen, every pass does."""
    model = make_model().to(torch.bfloat16)
    parameters = [parameter for adapter in adapters.values() for parameter in adapter.parameters()]
    with injected(model) as miva:
        miva.set_mask_streams(True)
        miva.set_masks(masks())
        with CopiesOf(iter(parameters)) as copies:
            model(*batch(model, 4))
        assert "stack" in copies.names
        miva.freeze()
        with CopiesOf(iter([*parameters, *frozen_tensors(miva, model)])) as copies:
            model(*batch(model, 4))
        assert copies.names == []


@torch.no_grad()
def test_what_is_frozen_does_not_hear_of_changes_before_it_is_frozen_again(
    make_model: Callable, injected: Callable, adapters: dict[str, MIVAAdapter]
) -> None:
    model = make_model()
    with injected(model) as miva:
        miva.freeze()
        before = model(*batch(model, 1)).sample
        for parameter in adapters["pan"].parameters():
            parameter.mul_(2)
        assert torch.equal(model(*batch(model, 1)).sample, before)
        miva.freeze()
        after = model(*batch(model, 1)).sample
        assert not torch.equal(after, before)
    with injected(model):
        assert torch.equal(model(*batch(model, 1)).sample, after)


def test_adapters_learn_again_after_a_run_that_froze_them(
    make_model: Callable, injected: Callable, adapters: dict[str, MIVAAdapter]
) -> None:
    model = make_model()
    with torch.inference_mode(), injected(model) as miva:
        miva.freeze()
        model(*batch(model, 1))
    with injected(model):
        model(*batch(model, 1)).sample.square().mean().backward()
    assert all(parameter.grad.any() for parameter in adapters["pan"].parameters())


@torch.no_grad()
def test_parameters_that_lie_apart_are_frozen_on_the_device_of_the_model(
    make_model: Callable, injected: Callable, adapters: dict[str, MIVAAdapter]
) -> None:
    """As programs that manage memory leave them where a card is too small; the device `meta` stands for another one."""
    model = make_model().to("meta")
    for adapter in adapters.values():
        for module in [module for module in adapter.modules() if not list(module.children())][::2]:
            module.to("meta")
    with injected(model) as miva:
        miva.freeze()
        assert {tensor.device.type for tensor in frozen_tensors(miva, model)} == {"meta"}
