import math
from typing import Any

import pytest

from miva_core.attention.curve import Curve, Over
from miva_core.attention.strength import Strength
from miva_core.errors import MIVAError

STEP = 1 / 50


def test_a_curve_holds_its_values_or_goes_from_one_to_the_next() -> None:
    points = ((0.2, 1.0), (0.6, 3.0))
    shares = (0.0, 0.2, 0.3, 0.4, 0.6, 1.0)
    expected = {
        "hold": (1, 1, 1, 1, 3, 3),
        "linear": (1, 1, 1.5, 2, 3, 3),
        "cosine": (1, 1, 2 - math.sqrt(0.5), 2, 3, 3),
    }
    for between, values in expected.items():
        assert [Curve(points, between).at(share) for share in shares] == pytest.approx(values)


def test_a_span_is_what_spans_of_injections_are() -> None:
    """Value while start <= done < end, at every step of runs of any length, to the last bit."""
    for start, end in ((0.0, 1.0), (0.2, 0.8), (0.0, 0.3), (1 / 3, 1.0)):
        curve = Curve.span(0.7, start, end)
        for steps in (1, 3, 10, 50):
            shares = [i / steps for i in range(steps)]
            assert [curve.at(done) for done in shares] == [0.7 if start <= done < end else 0.0 for done in shares]


def test_a_value_for_each_step_and_for_each_frame() -> None:
    values = [0.1, -0.4, 2.0, 0.3, 0.6, 0.7, 1.0]
    assert [Curve.of_values(values, "steps").at(i / 7) for i in range(7)] == values
    assert [Curve.of_values(values, "frames").at(k / 6) for k in range(7)] == values
    # as at each of 14 steps, and between frames
    assert [Curve.of_values(values, "steps").at(i / 14) for i in range(14)] == [v for v in values for _ in range(2)]
    assert Curve.of_values(values, "frames").at(0.5 / 6) == pytest.approx(-0.15)
    over: Over
    for over in ("steps", "noise", "frames"):
        assert Curve.of_values([0.4], over).at(0.9) == 0.4


def test_edg_has_its_two_numbers_and_its_switch() -> None:
    """Over the 50 steps 999, 979, …, 19 of EDG, of which those above 500 are the first 25."""
    values = [Curve.edg().at(1 - t / 1000) for t in range(999, 0, -20)]
    assert values == [-0.1875] * 25 + [1.25] * 25
    assert Curve.edg(0.5, 0.5, 0.75, 0.5).points == ((0.0, -0.25), (0.5, 1.25))
    assert [Curve.more_early().at(share) for share in (0, 0.49, 0.5, 1)] == [1.5, 1.5, 1.0, 1.0]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ((), "has no points"),
        (((0.0, 1.0), (0.0, 2.0)), "lie at 0, 0: let them rise"),
        (((0.5, 1.0), (0.2, 2.0)), "lie at 0.5, 0.2: let them rise"),
        (((0.0, math.nan),), r"is \(0.0, nan\), expected a share"),
        (((math.nan, 1.0),), r"is \(nan, 1.0\), expected a share"),
        (((0.0, 1.0), (1.5, 1.0)), r"is \(1.5, 1.0\), expected a share"),
        (((-0.1, 1.0),), r"is \(-0.1, 1.0\), expected a share"),
        (((0.0, 2e6),), "a value from -1e6 to 1e6"),
        (((0.0,),), "expected a share"),
        (((0.0, "1"),), "expected a share"),
        (1.5, r"are 1.5, expected pairs"),
        ((0.0, 1.0), "expected pairs"),
    ],
)
def test_bad_points(points: Any, message: str) -> None:
    with pytest.raises(MIVAError, match=message):
        Curve(points)


def test_other_bad_curves() -> None:
    with pytest.raises(MIVAError, match="by 'spline', expected one of hold, linear, cosine"):
        Curve(((0.0, 1.0),), "spline")
    with pytest.raises(MIVAError, match="over 'time', expected one of steps, noise, frames"):
        Curve(((0.0, 1.0),), over="time")
    with pytest.raises(MIVAError, match="no points"):
        Curve.of_values([])


# --- strengths with curves -------------------------------------------------------------------------------------------

RISING, FALLING = Curve(((0, 0), (1, 1))), Curve(((0, 1), (1, 0)), over="frames")


def test_several_curves_are_their_product_and_each_follows_its_own_share() -> None:
    strength = Strength(2.0, [RISING, FALLING], Curve(((0.0, 0.5), (1.0, 1.5)), over="noise"))
    assert strength.at(0.4, 0.3, 0.25) == pytest.approx((2.0, 0.4 * 0.75, 0.8))
    assert strength.over_run().at(0.4, 0.3, 0.25) == pytest.approx((2.0, 0.4, 0.8))
    assert strength.over_frames and not strength.over_run().over_frames


def test_what_a_strength_is_made_of() -> None:
    assert Strength().constant and Strength.of(0.5).at(0.9, 0.9, 0.9) == (0.5, 0.5, 0.5)
    assert Strength.of(RISING).curves == (RISING,) and not Strength.of(RISING).constant
    still = Curve(((0.0, 0.0), (1.0, 0.0)))
    assert not Strength.of(still).acts and not Strength.of([RISING, still]).acts
    assert Strength(0.0, 0.0, RISING).acts
    assert len({Strength.of([RISING, still]), Strength.of((RISING, still))}) == 1


@pytest.mark.parametrize("level", [[], [1.0], "1", (RISING, 0.5), None])
def test_what_is_no_level(level: Any) -> None:
    with pytest.raises(MIVAError, match=r"prompt strength is .*, a Curve or a list of them"):
        Strength(prompt=level)
