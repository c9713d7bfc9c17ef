"""How far a MODEL of fewer bits is from the same in float32, without motions and with them."""

from typing import Any

import torch
from torch import Tensor

from .adapters import CONFIGS, planned, random_adapter
from .cases import Case
from .runs import sample


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
