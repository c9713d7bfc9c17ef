"""Whole runs with masked adapters on the built-in base."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from miva_core import MIVAAdapter, MIVAConfig, animate, load_base
from miva_core.bases.base import Base
from miva_core.errors import MIVAError

PLAIN = MIVAConfig(cfa_rank=2, ca_rank=2, ta_rank=2)
MASKED = MIVAConfig(cfa_rank=2, ca_rank=2, ta_rank=2, mask=True)
QUICK = {"steps": 3, "frames": 4}


@pytest.fixture(scope="module")
def base() -> Base:
    return load_base("tiny")


@pytest.fixture
def picture(base: Base) -> Tensor:
    return torch.rand(*base.size, 3)


@pytest.fixture
def mask(base: Base) -> Tensor:
    mask = torch.zeros(base.size)
    mask[16:40, 8:32] = 1
    return mask


@pytest.fixture
def jump(base: Base, make_adapter: Callable) -> MIVAAdapter:
    return make_adapter(base.model, MASKED)


def test_masks_of_another_size_of_picture_follow_its_crop(base: Base, jump: MIVAAdapter) -> None:
    wide = torch.rand(96, 160, 3)
    mask = torch.zeros(96, 160)
    mask[:, 80:] = 1
    clip = animate(base, wide, {"jump": (jump, 1.0)}, masks={"jump": mask}, **QUICK)
    first = clip.masks["jump"][0]
    assert first.shape == base.size
    assert first[:, :30].max() < 0.1 and first[:, 34:].min() > 0.9


@pytest.mark.parametrize("size", [(96, 64), (64, 128)])
@pytest.mark.parametrize("readout", ["linear", "decoder"])
def test_other_sizes_and_both_readouts(
    base: Base, picture: Tensor, mask: Tensor, jump: MIVAAdapter, size: tuple[int, int], readout: Any
) -> None:
    clip = animate(base, picture, {"jump": (jump, 1.0)}, masks={"jump": mask}, size=size, readout=readout, **QUICK)
    assert clip.masks["jump"].shape == (4, *size)


def test_stopping_early_runs_fewer_masks(base: Base, picture: Tensor, mask: Tensor, jump: MIVAAdapter) -> None:
    rows: list[int] = []
    watch = base.model.register_forward_pre_hook(lambda module, args: rows.append(len(args[0])))
    try:
        for stop in (None, 0.0):
            stack = {"jump": (jump, 1.0)}
            animate(base, picture, stack, masks={"jump": mask}, mask_stop_iou=stop, steps=10, frames=2)
    finally:
        watch.remove()
    assert rows[:10] == [2, 2, 2, 2, 2, 2, 2, 2, 1, 1]
    assert rows[10:] == [2, 2, 1, 1, 1, 1, 1, 1, 1, 1]


def test_mistakes_are_told_before_sampling_starts(
    base: Base, picture: Tensor, mask: Tensor, jump: MIVAAdapter, make_adapter: Callable
) -> None:
    plain = make_adapter(base.model, PLAIN)

    def refuse(*_: Any) -> None:
        raise AssertionError("the model was run")

    watch = base.model.register_forward_pre_hook(refuse)
    try:
        for adapters, masks, options, message in (
            ({"jump": jump}, None, {}, "No mask is given for jump"),
            ({"jump": jump, "sway": jump}, {"jump": mask}, {}, "No mask is given for sway"),
            ({"pan": plain}, {"pan": mask}, {}, "has no mask stream"),
            ({"jump": jump}, {"jump": mask.expand(3, -1, -1)}, {}, "a batch of 3"),
            ({"jump": jump}, {"jump": mask * torch.nan}, {}, "NaN"),
            ({"jump": jump}, {"jump": mask}, {"mask_stop_iou": 1.5}, "mask_stop_iou is 1.5"),
            ({"jump": jump}, {"jump": mask}, {"readout": "vae"}, "The read-out of masks is 'vae'"),
        ):
            with pytest.raises(MIVAError, match=message) as raised:
                stack = {name: (adapter, 1.0) for name, adapter in adapters.items()}
                animate(base, picture, stack, masks=masks, **options)
            assert "\n" not in str(raised.value)
    finally:
        watch.remove()
