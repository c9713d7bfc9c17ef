"""A training step: its loss, its gradients, and that they lead downhill."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from calls import SMALL, Step, clip_frames, fresh_adapter, quick_recipe, random_adapter, sliding_squares, training
from torch import nn

from miva_core import Base

KINDS = {"plain": SMALL, "masked": replace(SMALL, mask=True)}


@pytest.fixture
def base(base: Base) -> Base:
    """Of clips as short as they can be, so that this takes seconds."""
    return replace(base, frames=clip_frames(base))


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def test_gradients_reach_all_of_the_adapter_and_none_of_the_base(base: Base, kind: str) -> None:
    adapter = random_adapter(base, KINDS[kind])
    with Step(base, adapter) as step:
        loss = step.loss()
        loss.backward()
    assert loss.isfinite() and loss > 0
    assert [name for name, p in adapter.named_parameters() if p.grad is None or not p.grad.any()] == []
    assert all(parameter.grad is None for parameter in base.model.parameters())


def test_a_new_adapter_can_start_to_learn(base: Base, kind: str) -> None:
    """All that is zero at first has a gradient, but for what acts through it."""
    adapter = fresh_adapter(base, KINDS[kind])
    with Step(base, adapter) as step:
        step.loss().backward()
    for name, parameter in adapter.named_parameters():
        if name.endswith((".up", ".second")):
            acts_through_zero = ".cfa.q." in name or ".cfa_mask.q." in name
            assert parameter.grad.any() != acts_through_zero, name


def test_the_gradient_is_the_slope_of_the_loss(base: Base, kind: str) -> None:
    """Central differences along the gradient of each part of the adapter."""
    adapter = random_adapter(base, KINDS[kind])
    with Step(base, adapter) as step:
        loss = step.loss()
        loss.backward()
        for part in {part_of(name) for name, _ in adapter.named_parameters()}:
            moved = [p for name, p in adapter.named_parameters() if part_of(name) == part]
            slope = sum(parameter.grad.square().sum().item() for parameter in moved)
            reach = min(1e-3 * loss.item() / slope, 0.02 / slope**0.5)
            there, back = moved_loss(step, moved, reach), moved_loss(step, moved, -reach)
            assert (there - back) / (2 * reach) == pytest.approx(slope, rel=0.03), part


def part_of(name: str) -> str:
    """Such as "cfa", of a parameter at a site or of one for all of them."""
    return name.split(".")[2 if name.startswith("sites.") else 0]


@torch.no_grad()
def moved_loss(step: Step, parameters: list[nn.Parameter], reach: float) -> float:
    """The loss where these parameters are moved along their gradients."""
    before = [parameter.clone() for parameter in parameters]
    for parameter in parameters:
        parameter.add_(parameter.grad, alpha=reach)
    loss = step.loss().item()
    for parameter, value in zip(parameters, before, strict=True):
        parameter.copy_(value)
    return loss


def test_the_loss_falls_when_one_batch_is_learnt(base: Base, kind: str) -> None:
    adapter = fresh_adapter(base, KINDS[kind])
    optimiser, losses = torch.optim.AdamW(adapter.parameters(), lr=1e-2), []
    with Step(base, adapter) as step:
        for _ in range(4):
            optimiser.zero_grad()
            loss = step.loss()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
    assert losses[-1] < 0.95 * losses[0]


def test_a_training_returns_what_it_learnt_and_leaves_the_base_alone(base: Base, kind: str, tmp_path: Path) -> None:
    state = {name: tensor.clone() for name, tensor in base.model.state_dict().items()}
    processors = [base.model.get_submodule(site.path).processor for site in base.backbone.sites]
    adapter, losses = training(base, quick_recipe(base, KINDS[kind]), sliding_squares(base, kind == "masked"), tmp_path)
    assert len(losses) == 3 and all(0 < loss < 1e3 for loss in losses)
    assert all(torch.equal(tensor, state[name]) for name, tensor in base.model.state_dict().items())
    assert [base.model.get_submodule(site.path).processor for site in base.backbone.sites] == processors
    for site in base.backbone.sites:
        if site.kind == "ca":
            assert adapter.site(site)["ca"].second.any()  # zero at first
