"""Whole runs with masked adapters on the built-in base, whose frames the network paints."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from miva_core import MIVAAdapter, MIVAConfig, Motion, RunOptions, animate, load_base
from miva_core.bases.base import Base
from miva_core.errors import MIVAError, MIVAWarning

PLAIN = MIVAConfig(cfa_rank=2, ca_rank=2, ta_rank=2)
MASKED = MIVAConfig(cfa_rank=2, ca_rank=2, ta_rank=2, mask=True)
QUICK = RunOptions(steps=3, frames=4, render="latents")


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
    clip = animate(base, wide, [Motion(jump, mask=mask, name="jump")], QUICK)
    first = clip.masks["jump"][0]
    assert first.shape == base.size
    assert first[:, :30].max() < 0.1 and first[:, 34:].min() > 0.9


def test_masks_are_of_the_picture_in_its_file_where_it_was_read_smaller(base: Base, jump: MIVAAdapter) -> None:
    still, mask = torch.rand(96, 160, 3), torch.zeros(480, 800)
    mask[:, 400:] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", MIVAWarning)
        clip = animate(base, still, [Motion(jump, mask=mask)], replace(QUICK, size_in_file=(480, 800)))
    first = clip.masks["motion"][0]
    assert first[:, :30].max() < 0.1 and first[:, 34:].min() > 0.9
    assert clip.fitting == "centre-cropped 800×480 to 480×480, scaled to 64×64"


def test_a_padded_picture_keeps_all_of_its_mask(base: Base, jump: MIVAAdapter) -> None:
    wide, mask = torch.rand(32, 128, 3), torch.zeros(32, 128)
    mask[:, :64] = 1
    clip = animate(base, wide, [Motion(jump, mask=mask, name="jump")], replace(QUICK, fit="pad"))
    first = clip.masks["jump"][0]
    assert first[:, :30].min() > 0.9 and first[:, 34:].max() < 0.1


@pytest.mark.parametrize("size", [(96, 64), (64, 128)])
@pytest.mark.parametrize("readout", ["linear", "decoder"])
def test_other_sizes_and_both_readouts(
    base: Base, picture: Tensor, mask: Tensor, jump: MIVAAdapter, size: tuple[int, int], readout: Any
) -> None:
    clip = animate(base, picture, [Motion(jump, mask=mask, name="jump")], replace(QUICK, size=size, readout=readout))
    assert clip.masks["jump"].shape == (4, *size)


def test_mistakes_are_told_before_sampling_starts(
    base: Base, picture: Tensor, mask: Tensor, jump: MIVAAdapter, make_adapter: Callable
) -> None:
    plain = make_adapter(base.model, PLAIN)

    def refuse(*_: Any) -> None:
        raise AssertionError("the model was run")

    watch = base.model.register_forward_pre_hook(refuse)
    try:
        for motions, options, message in (
            ([Motion(jump, name="jump")], {}, "No mask is given for jump"),
            ([Motion(jump, mask=mask), Motion(jump, name="sway")], {}, "No mask is given for sway"),
            ([Motion(plain, mask=mask, name="pan")], {}, "given for pan, but this adapter has no mask stream"),
            ([Motion(jump, mask=mask.expand(3, -1, -1))], {}, "a batch of 3"),
            ([Motion(jump, mask=mask * torch.nan)], {}, "NaN"),
            ([Motion(jump, mask=mask)], {"readout": "vae"}, "The read-out of masks is 'vae'"),
        ):
            with pytest.raises(MIVAError, match=message) as raised:
                animate(base, picture, motions, RunOptions(**options))
            assert "\n" not in str(raised.value)
    finally:
        watch.remove()
