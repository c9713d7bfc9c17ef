import json
from dataclasses import asdict
from typing import Any

import pytest

from miva_core.adapters.config import MIVAConfig
from miva_core.errors import MIVAError


@pytest.mark.parametrize("preset", [MIVAConfig.default, MIVAConfig.paper, MIVAConfig.official_animatediff])
def test_json_round_trip(preset: Any) -> None:
    assert MIVAConfig.from_dict(json.loads(json.dumps(asdict(preset())))) == preset()


def test_presets() -> None:
    paper, official, default = MIVAConfig.paper(), MIVAConfig.official_animatediff(), MIVAConfig.default()
    assert (paper.cfa_rank, paper.cfa_softmax, paper.gate_temperature, paper.gate_bias) == (128, "separate", 1.0, False)
    assert (paper.ca_rank, paper.ca_act, paper.ca_norm, paper.ta_rank) == (64, "softmax", False, 32)
    assert (official.cfa_rank, official.cfa_softmax, official.cfa_out_bias) == (None, "joint", True)
    assert (official.gate_temperature, official.gate_bias, official.ca_act, official.ca_norm) == (
        0.2,
        True,
        "gelu",
        True,
    )
    assert (default.cfa_rank, default.cfa_softmax, default.cfa_out_bias) == (128, "separate", False)
    assert (default.gate_temperature, default.gate_bias, default.ca_act, default.ca_norm) == (0.2, True, "gelu", True)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cfa_rank", 0),
        ("cfa_rank", 1.5),
        ("cfa_rank", True),
        ("ca_rank", None),
        ("ta_rank", -1),
        ("cfa_softmax", "both"),
        ("ca_act", 1),
        ("cfa_out_bias", 1),
        ("ca_norm", "yes"),
        ("gate_temperature", 0.0),
        ("gate_temperature", float("nan")),
        ("ta_alpha", float("inf")),
        ("ta_alpha", "1"),
        ("ta_alpha", 10**400),
        ("gate_temperature", 1e-300),
        ("cfa_rank", 10**30),
        ("mask", 1),
        ("image_guidance", None),
        ("region_rank", 0),
        ("region_rank", 65),
        ("guide", "depth"),
        ("guide", None),
    ],
)
def test_a_bad_value_is_named(field: str, value: Any) -> None:
    with pytest.raises(MIVAError, match=f"^{field} is .*expected"):
        MIVAConfig(**{field: value})


def test_what_makes_its_own_mask_is_not_guided_by_one() -> None:
    with pytest.raises(MIVAError, match="an adapter that makes its subject's mask takes none"):
        MIVAConfig(mask=True, guide="mask")


def test_a_guide_needs_newer_code() -> None:
    assert MIVAConfig(guide="mask").since_version == 2 and "guide" not in MIVAConfig().to_dict()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([1], "is a JSON object"),
        ({"cfa_rang": 4}, r"unknown fields \['cfa_rang'\]"),
        ({"cfa_rank": "4"}, "cfa_rank is '4'"),
    ],
)
def test_bad_fields(data: Any, message: str) -> None:
    with pytest.raises(MIVAError, match=message):
        MIVAConfig.from_dict(data)
