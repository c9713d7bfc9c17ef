"""Names of motions, and what each needs."""

import pytest

from miva_core.clips.camera import UNIT_MOVES
from miva_core.errors import MIVAError
from miva_core.motion_fields.displacements import _UNIT_PATHS
from miva_core.motion_fields.motions import MOTIONS, motion_field, spoken
from miva_core.motion_fields.whole_frame import DEPTH_MOVES


def test_each_has_a_formula_of_its_kind() -> None:
    kinds = {kind: {name for name, motion in MOTIONS.items() if motion.kind == kind} for kind in ("camera", "depth")}
    assert kinds == {"camera": set(UNIT_MOVES) - {"still"}, "depth": set(DEPTH_MOVES)}
    assert set(_UNIT_PATHS) == {name for name, motion in MOTIONS.items() if motion.needs == "mask"}
    assert set(MOTIONS) == set.union(*kinds.values(), set(_UNIT_PATHS), {"shake"})


@pytest.mark.parametrize("name", MOTIONS)
def test_it_is_found_as_people_write_it(name: str) -> None:
    for written in (name, spoken(name), f" {name.replace('_', ' ').title()} "):
        assert motion_field(written).name == name


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(MIVAError, match=r"'drift-lft' is no motion; nearest are drift-left"):
        motion_field("drift-lft")
