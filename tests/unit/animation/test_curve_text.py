"""Curves as people type them, and what their weight and curves are together."""

import pytest

from miva_core.animation.curve_text import StrengthText, combined, parse_curve, parse_strength
from miva_core.attention.curve import Curve, Over
from miva_core.attention.strength import Part, Strength
from miva_core.errors import MIVAError

EARLY = Curve(((0.0, 1.5), (0.5, 1.0)), "hold")
FADE = Curve(((0.0, 0.0), (1.0, 1.0)), "linear", "frames")


@pytest.mark.parametrize(
    ("text", "over", "expected"),
    [
        ("0:1.5,0.5:1", "steps", EARLY),
        (" 0 : 1.5 ;\n0.5: 1e0, ", "steps", EARLY),
        ("0:0, 1:1", "frames", FADE),
        ("\n0:0,\n\n1:1\n", "frames", FADE),
        ("0, 1", "frames", FADE),
        ("1.5, 1", "steps", EARLY),
        ("0:-0.1875, 0.5:1.25", "noise", Curve.edg()),
        ("2", "frames", Curve(((0.0, 2.0),), "linear", "frames")),
    ],
)
def test_a_curve_is_points_or_values(text: str, over: Over, expected: Curve) -> None:
    assert parse_curve(text, over) == expected


def test_a_curve_goes_as_it_is_told() -> None:
    assert parse_curve("0, 1", "frames", "cosine") == Curve(((0.0, 0.0), (1.0, 1.0)), "cosine", "frames")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "A curve without points was given: write shares and strengths"),
        ("0,,1", "A point is missing beside a comma of '0,,1': write shares and strengths"),
        (",0:1", "A point is missing"),
        (" , ", "A curve without points was given"),
        ("0:1, half:2", "'half:2' is no point of a curve"),
        ("0:1, 0.5:", "'0.5:' is no point of a curve"),
        ("0:1, 0.5", "'0.5' is no point of a curve"),
        ("0:nan", "'0:nan' is no point of a curve"),
        ("0:1:2", "'0:1:2' is no point of a curve"),
        ("1, inf", "'inf' is no point of a curve"),
        ("0:0, 8:1", "The point 8:1 lies beyond the clip: its share goes from 0, the beginning, to 1, the end."),
        ("-0.1:0", "The point -0.1:0 lies beyond the clip"),
        ("0.5:0, 0.2:1", "The points of a curve lie at 0.5, 0.2: let them rise."),
        ("0:1e7", "a value from -1e6 to 1e6"),
    ],
)
def test_what_is_no_curve_is_told_in_a_sentence(text: str, message: str) -> None:
    with pytest.raises(MIVAError) as raised:
        parse_curve(text, "frames")
    assert message in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pan_left=0:1.5,0.5:1", StrengthText("pan_left", EARLY)),
        ("a=b=0:1.5,0.5:1", StrengthText("a=b", EARLY)),
        ("me/pan.safetensors=0:1.5, 0.5:1/hold", StrengthText("me/pan.safetensors", EARLY)),
        ("pan=1.5/prompt", StrengthText("pan", Curve(((0.0, 1.5),), "hold"), (Part.PROMPT,))),
        (
            "pan=0:0,1:1/temporal/cosine / cross-frame",
            StrengthText("pan", Curve(((0.0, 0.0), (1.0, 1.0)), "cosine"), (Part.CROSS_FRAME, Part.TEMPORAL)),
        ),
    ],
)
def test_a_strength_has_a_motion_and_perhaps_parts(text: str, expected: StrengthText) -> None:
    assert parse_strength(text, "steps") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0:1.5,0.5:1", "names no motion"),
        ("=0:1", "names no motion"),
        ("pan=", "A curve without points"),
        (
            "pan=0:1/smooth",
            "'smooth' in 'pan=0:1/smooth' is unknown: after a slash stands hold, linear, ",
        ),
        ("pan=0,1/linear/hold", "in one way, but 'pan=0,1/linear/hold' says hold and linear"),
    ],
)
def test_what_is_no_strength_is_told(text: str, message: str) -> None:
    with pytest.raises(MIVAError, match=message):
        parse_strength(text, "steps")


def values(strength: float | Strength, done: float, frame: float) -> tuple[float, ...]:
    return Strength.of(strength).at(done, done, frame)


def test_a_weight_and_all_curves_are_multiplied_part_by_part() -> None:
    assert combined(0.5, []) == 0.5
    texts = [
        parse_strength("pan=0:1.5,0.5:1/prompt", "steps"),
        parse_strength("pan=3/temporal", "steps"),
        parse_strength("pan=0,1", "frames"),
    ]
    strength = combined(0.5, texts)
    for done in (0.0, 0.4, 0.5, 0.9):
        for frame in (0.0, 0.25, 1.0):
            early = 1.5 if done < 0.5 else 1.0
            assert values(strength, done, frame) == pytest.approx((0.5 * frame, 0.5 * early * frame, 1.5 * frame))


def test_a_single_value_is_a_number() -> None:
    assert combined(0.5, [parse_strength("pan=3", "steps")]) == Strength(1.5, 1.5, 1.5)
    assert Strength.of(combined(1.0, [parse_strength("pan=1.5/prompt", "steps")])) == Strength(1.0, 1.5, 1.0)


def test_one_part_has_one_curve_over_the_run() -> None:
    both = [parse_strength("pan=0:1.5,0.5:1", "steps"), StrengthText("pan", Curve.edg())]
    with pytest.raises(MIVAError, match="Two strengths over the run are given for pan: give one, or one for each"):
        combined(1.0, both)
    apart = [both[0]._replace(parts=(Part.PROMPT,)), both[1]._replace(parts=(Part.TEMPORAL,))]
    assert combined(1.0, apart) == Strength(1.0, EARLY, Curve.edg())
