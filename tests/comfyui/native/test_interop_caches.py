"""Nodes that leave out passes or add some of their own: the first frame stays, and masks still come."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from comfy_extras.nodes_easycache import EasyCacheNode, LazyCacheNode
from comfy_extras.nodes_slg import SkipLayerGuidanceDiT
from comfyui_miva.nodes.comfy_bridge.native.mask_record import MaskRecord
from torch import Tensor

from .adapters import MASKED, SMALL, planned, random_adapter
from .cases import Case, Order
from .runs import error, sample, seeing

STEPS = 10
BOTH = pytest.mark.parametrize("order", ["before", "after"])
CACHES = {"EasyCache": EasyCacheNode, "LazyCache": LazyCacheNode}


def cached(kind: str, reuse: float = 1.5) -> Callable[[Any], Any]:
    return lambda model: CACHES[kind].execute(model, reuse, 0.1, 0.9, False)[0]


def run_of(case: Case, model: Any, cfg: float) -> tuple[Tensor, int]:
    """A clip, and how often its network was called; the texts of CFG are together in a call."""
    with seeing(model) as seen:
        result = sample(model, case.latent, case.positive, case.negative, cfg=cfg, steps=STEPS)
    return result, len(seen.x)


@BOTH
@pytest.mark.parametrize("cfg", [1.0, 3.0])
@pytest.mark.parametrize("kind", CACHES)
def test_caches_leave_out_steps_of_a_clip_with_motions(case: Case, kind: str, cfg: float, order: Order) -> None:
    motion = planned(random_adapter(case.backbone), 0.6)
    whole, all_calls = run_of(case, case.applied(motion), cfg)
    result, calls = run_of(case, case.beside(cached(kind), order, motion), cfg)
    assert calls < all_calls == STEPS
    assert result.isfinite().all() and torch.equal(case.first_frame(result), case.picture)
    assert error(result, whole) > 0


@BOTH
@pytest.mark.parametrize("kind", CACHES)
def test_a_cache_that_reuses_nothing_changes_nothing(case: Case, kind: str, order: Order) -> None:
    motions = planned(random_adapter(case.backbone), 0.6), case.masked(random_adapter(case.backbone, MASKED), 0.3)
    whole, _ = run_of(case, case.applied(*motions), 1.0)
    result, _ = run_of(case, case.beside(cached(kind, 0.0), order, *motions), 1.0)
    assert torch.equal(result, whole)


@BOTH
@pytest.mark.parametrize("cfg", [1.0, 3.0])
def test_masks_come_with_caches_too(case: Case, cfg: float, order: Order) -> None:
    record = MaskRecord()
    subjects = [
        case.masked(random_adapter(case.backbone, MASKED, k), 0.4, left, str(k)) for k, left in ((1, 0), (2, 6))
    ]
    motions = planned(random_adapter(case.backbone, SMALL), 0.2), *subjects
    result, calls = run_of(case, case.beside(cached("EasyCache", 3.0), order, *motions, record=record), cfg)
    # With masks the texts of CFG are apart.
    assert calls < STEPS * (1 if cfg == 1 else 2)
    masks = record.masks(result)
    assert masks.isfinite().all() and masks.min() >= 0 and masks.max() <= 1
    assert torch.equal(case.first_frame(result), case.picture)


@BOTH
def test_guidance_by_skipped_layers_is_heard(wan_case: Case, order: Order) -> None:
    motion = planned(random_adapter(wan_case.backbone))

    def skipping(model: Any) -> Any:
        return SkipLayerGuidanceDiT.execute(model, 2.0, 0.0, 1.0, "1", "", 0.0)[0]

    plain, _ = run_of(wan_case, wan_case.applied(motion), 3.0)
    result, calls = run_of(wan_case, wan_case.beside(skipping, order, motion), 3.0)
    # The prompt with what it is compared with, and the prompt without the block.
    assert calls == 2 * STEPS
    assert result.isfinite().all() and torch.equal(wan_case.first_frame(result), wan_case.picture)
    assert error(result, plain) > 0.01
