"""How much a motion moves, on ComfyUI's own models, against the engine's path through diffusers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from comfyui_miva.miva_core import MIVAAdapter, inject
from comfyui_miva.miva_core.adapters.degree import DegreeRange
from torch import Tensor

from .adapters import SMALL, planned, random_adapter
from .cases import Case
from .runs import error, sample, seeing

CLOSE = 2e-5
KNOWN = DegreeRange("flow", tuple(float(k) for k in range(19)), tuple(float(k) for k in range(20)), usual=0.75)


def adapter_of(case: Case) -> MIVAAdapter:
    adapter = random_adapter(case.backbone, replace(SMALL, degree=True))
    adapter.degree = KNOWN
    return adapter


def by_engine(case: Case, adapter: MIVAAdapter, u: float) -> tuple[Tensor, Tensor]:
    """What both paths make of one step."""
    degree = (u + 1) / 2
    model = case.applied(replace(planned(adapter, 0.8), degree=None if degree == KNOWN.usual else degree))
    with seeing(model) as seen:
        sample(model, case.latent, case.positive, steps=1)
    with inject(case.reference, miva=adapter) as injection:
        injection.set_weights(miva=0.8)
        injection.set_degrees(miva=u)
        return seen.output[0], case.bare(seen, 0)


def test_a_degree_is_heard_as_in_the_engine(case: Case) -> None:
    adapter = adapter_of(case)
    answers = []
    for u in (-1.0, 0.2, 0.5):
        got, wanted = by_engine(case, adapter, u)
        assert error(got, wanted) < CLOSE
        answers.append(wanted)
    assert error(answers[0], answers[1]) > 0.01 and error(answers[1], answers[2]) > 0.001


@pytest.mark.parametrize("degree", [None, 0.0])
def test_motions_without_a_degree_stand_beside_those_with_one(case: Case, degree: float | None) -> None:
    adapters = {"a": random_adapter(case.backbone, seed=1), "b": adapter_of(case), "c": random_adapter(case.backbone)}
    motions = {name: planned(one, 0.3, name=name) for name, one in adapters.items()}
    model = case.applied(*(motions | {"b": replace(motions["b"], degree=degree)}).values())
    with seeing(model) as seen:
        sample(model, case.latent, case.positive, steps=1)
    with inject(case.reference, **adapters) as injection:
        injection.set_weights(**dict.fromkeys(adapters, 0.3))
        injection.set_degrees(b=KNOWN.centred(degree))
        assert error(seen.output[0], case.bare(seen, 0)) < CLOSE
