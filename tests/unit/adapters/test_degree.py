"""What degrees mean, how a file tells it, and what is wrong with one."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

from miva_core import MIVAConfig, read_info
from miva_core.adapters.degree import DegreeRange, check_degree
from miva_core.adapters.info import AdapterInfo
from miva_core.animation.degree_notes import describe_degree, describe_range
from miva_core.bases.tiny.spec import SHIPPED
from miva_core.errors import MIVAError

SPEEDS = tuple((k / 20) ** 2 for k in range(20))
KNOWN = DegreeRange("flow", tuple(k / 20 for k in range(1, 20)), SPEEDS, 0.75)
INFO = AdapterInfo("wan", "0" * 12, replace(MIVAConfig.default(), degree=True), "pan", 16, (96, 64), 8.0, degree=KNOWN)


def test_between_buckets_speeds_go_straight() -> None:
    for degree in (0.0, 0.01, 0.5, 0.77, 1.0):
        assert KNOWN.speed(degree) == pytest.approx(np.interp(degree, np.linspace(0, 1, 20), SPEEDS))
    assert KNOWN.speed() == KNOWN.speed(0.75)
    assert [KNOWN.centred(degree) for degree in (0.0, 0.75, 1.0, None)] == [-1.0, 0.5, 1.0, 0.5]


def test_a_header_brings_it_back_and_asks_for_version_2() -> None:
    header = json.loads(INFO.to_json())
    assert header["format_version"] == 2 and header["config"]["degree"] is True
    assert AdapterInfo.from_json(INFO.to_json()) == INFO


def test_files_without_one_stay_as_they_were_byte_for_byte() -> None:
    """So that older code reads them."""
    for name in ("jump", "rise", "sway_masked"):
        with safe_open(SHIPPED / f"{name}.safetensors", framework="pt") as file:
            header = file.metadata()["miva"]
        assert read_info(SHIPPED / f"{name}.safetensors").to_json() == header
        assert json.loads(header)["format_version"] == 1 and "degree" not in header


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"degree": None}, "degree is None, expected a range for an adapter with a degree"),
        ({"degree": 3}, "The degree is 3, expected its measure, edges, speeds and usual degree"),
        ({"degree": {"measure": "flow"}}, "expected its measure"),
        ({"measure": "speed"}, "The measure of the degree is 'speed', expected one of"),
        ({"usual": 1.5}, "The usual degree is 1.5"),
        ({"usual": True}, "The usual degree is True"),
        ({"edges": [0.5] * 18}, "The edges of the degree are .* expected 19 numbers from 0 on that do not fall"),
        ({"edges": [float("nan")] * 19}, "expected 19 numbers"),
        ({"speeds": [0.1] * 19 + [1e300]}, "expected 20 numbers"),
        ({"edges": [0.5] * 18 + [0.4]}, "expected 19 numbers"),
        ({"speeds": 20 * ["1"]}, "The speeds of the degree"),
        ({"speeds": "a" * 20}, "The speeds of the degree"),
        ({"speeds": [-0.1] * 20}, "expected 20 numbers"),
    ],
)
def test_a_broken_one_is_refused(change: dict[str, Any], message: str) -> None:
    header = json.loads(INFO.to_json())
    header |= change if "degree" in change else {"degree": header["degree"] | change}
    with pytest.raises(MIVAError, match=message):
        AdapterInfo.from_json(json.dumps(header))


def test_one_without_a_place_in_the_adapter_is_refused() -> None:
    with pytest.raises(MIVAError, match="expected a range for an adapter with a degree, and None for another"):
        replace(INFO, config=MIVAConfig.default())


def test_what_a_user_asks_for_is_checked() -> None:
    check_degree("pan", None, None)
    check_degree("pan", 1, KNOWN)
    for degree in (-0.1, 1.01, float("nan"), "0.5", True):
        with pytest.raises(
            MIVAError, match=r"The degree of pan is .*expected a number from 0, its slowest motion, to 1"
        ):
            check_degree("pan", degree, KNOWN)
    with pytest.raises(MIVAError, match="pan was trained without a degree"):
        check_degree("pan", 0.5, None)


def test_it_is_told_in_pixels() -> None:
    speed, usual = (float(np.interp(x, np.linspace(0, 1, 20), SPEEDS)) for x in (0.5, 0.75))
    assert (
        describe_degree(0.5, KNOWN, (64, 96))
        == f"about {speed:.2f} pixels a frame at 96×64, {speed / usual:.2f} of its usual speed"
    )
    assert describe_range(KNOWN, (64, 96)).endswith(
        f"0.90 pixels a frame at 96×64; as trained it is at 0.75, with {usual:.2f}"
    )
