"""Motions of a run: what they are made of, and what they are called."""

from collections.abc import Callable

import pytest
import torch

from miva_core import MIVAAdapter, MIVAConfig, Motion, describe
from miva_core.animation.motion import named, unique_names
from miva_core.errors import MIVAError


@pytest.fixture
def adapter(make_unet: Callable) -> MIVAAdapter:
    return MIVAAdapter(describe(make_unet()), MIVAConfig(cfa_rank=1, ca_rank=1, ta_rank=1))


def test_each_motion_gets_a_name_of_its_own_in_order(adapter: MIVAAdapter) -> None:
    mask = torch.ones(8, 8)
    motions = [Motion(adapter, 0.5, name="pan"), Motion(adapter), Motion(adapter, mask=mask, name="pan")]
    found = named(motions)
    assert list(found) == ["pan (1)", "motion", "pan (3)"] == [motion.name for motion in found.values()]
    assert [motion.strength for motion in found.values()] == [0.5, 1.0, 1.0]
    assert found["pan (3)"].mask is mask and motions[0].name == "pan"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["pan", "jump"], ["pan", "jump"]),
        (["pan", "pan"], ["pan (1)", "pan (2)"]),
        (["pan", "pan", "pan (1)"], ["pan #1", "pan #2", "pan (1) #3"]),
        (["", ""], [" (1)", " (2)"]),
        ([], []),
    ],
)
def test_names_that_repeat_are_numbered_until_they_differ(names: list[str], expected: list[str]) -> None:
    assert unique_names(names) == expected
    assert unique_names(expected) == expected


def test_what_is_no_adapter_or_name_is_told_by_the_name(adapter: MIVAAdapter) -> None:
    with pytest.raises(MIVAError, match="pan is a str"):
        Motion("pan.safetensors", name="pan")
    with pytest.raises(MIVAError, match="motion is a NoneType"):
        Motion(None)
    with pytest.raises(MIVAError, match="a motion is 1"):
        Motion(adapter, name=1)
