"""CFG with motions on Wan: the second pass is left out where it would repeat the first, and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from .adapters import planned, random_adapter
from .cases import Case
from .runs import sample, seeing
from .wan_models import VARIANTS, SmallWan, native_wan, random_state


@pytest.fixture(scope="module")
def case(wan: SmallWan) -> Case:
    return Case.of("wan", wan.model, wan.reference, wan.backbone)


def rows(model: Any, case: Case, positive: dict[str, Any], negative: dict[str, Any]) -> tuple[int, torch.Tensor]:
    """How many clips the network got in one step of CFG 3, and what came of it."""
    conds = [[[one[0][0], shown]] for one, shown in ((case.positive, positive), (case.negative, negative))]
    with seeing(model) as seen:
        clip = sample(model, case.latent, *conds, steps=1, cfg=3.0)
    return sum(map(len, seen.x)), clip


def test_one_pass_serves_where_no_text_is_heard(case: Case) -> None:
    adapters = [random_adapter(case.backbone, seed=seed) for seed in (1, 2)]
    whole = case.applied(planned(adapters[0], 0.3), planned(adapters[1], 0.7))
    assert rows(whole, case, {}, {})[0] == 1
    assert rows(case.applied(planned(adapters[0], 0.6)), case, {}, {})[0] == 2


def test_it_is_left_out_at_the_steps_alone_at_which_motions_fill_the_text(case: Case) -> None:
    model = case.applied(planned(random_adapter(case.backbone), span=(0.25, 0.75)))
    with seeing(model) as seen:
        sample(model, case.latent, case.positive, case.negative, steps=4, cfg=3.0)
    assert [len(x) for x in seen.x] == [2, 1, 1, 2]


@pytest.mark.parametrize("same", [True, False])
def test_what_a_model_is_shown_may_differ_too(case: Case, same: bool) -> None:
    model = native_wan(random_state(**VARIANTS["i2v 2.2"]))
    motions = case.applied(planned(random_adapter(case.backbone)), model=model)
    pictures = [{"concat_latent_image": torch.full((1, 16, 3, 8, 12), value)} for value in (0.5, 0.5 if same else -0.5)]
    found, clip = rows(motions, case, *pictures)
    assert found == (1 if same else 2)
    # as if somebody looked at both passes
    looked = motions.clone()
    looked.set_model_sampler_post_cfg_function(lambda args: args["denoised"])
    both, expected = rows(looked, case, *pictures)
    assert both == 2 and torch.allclose(clip, expected, atol=1e-5)


@pytest.mark.parametrize(
    "shown", [{"time_dim_concat": torch.ones(1, 16, 1, 8, 12)}, {"start_percent": 0.0, "end_percent": 0.5}]
)
def test_where_a_text_may_be_heard_beside_the_clip_both_are_made(case: Case, shown: dict[str, Any]) -> None:
    model = case.applied(planned(random_adapter(case.backbone)))
    assert rows(model, case, shown, shown)[0] == 2
