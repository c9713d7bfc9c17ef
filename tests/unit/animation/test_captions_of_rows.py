"""What is said to a base, as vectors that are as long as it is to be fast."""

from dataclasses import replace
from itertools import accumulate

import pytest
import torch
from torch import Tensor
from worded_base import worded_base

from miva_core import Base, Curve, Said
from miva_core.animation.captions import caption, check_said
from miva_core.animation.frame_strengths import frame_shares
from miva_core.animation.said import as_speed
from miva_core.attention.strength import Strength
from miva_core.bases.vocabulary import Vocabulary
from miva_core.errors import MIVAError

SHARES = frame_shares(16)
RISING = Curve(((0.0, 0.0), (1.0, 1.0)), over="frames")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return worded_base(tmp_path_factory.mktemp("base"))


def said(base: Base, *words: Said) -> Tensor:
    return caption(base, {one.label: one for one in words}, SHARES)


def speeds(base: Base, one: Said, name: str) -> Tensor:
    """How many times its vector a word is in each frame."""
    assert base.vocabulary is not None
    slot = base.vocabulary.slots.index(name.partition(" ")[0])
    return said(base, one)[:, slot] @ base.vocabulary.vectors[name]


def test_a_word_is_as_long_as_it_is_fast(base: Base) -> None:
    once, twice = said(base, Said("Dolly-in", 0.4)), said(base, Said("dolly in", 0.8))
    assert once.shape == (16, 3, base.text.shape[-1])
    torch.testing.assert_close(twice, 2 * once)
    assert once[:, 0].norm(dim=-1).tolist() == pytest.approx([0.4] * 16) and not once[:, 1:].any()


def test_words_of_several_slots_are_those_of_each(base: Base) -> None:
    whole = said(base, Said("pan left", 0.5), Said("jump", 0.3), Said("shake", 0.2))
    each = [said(base, one) for one in (Said("pan left", 0.5), Said("jump", 0.3), Said("shake", 0.2))]
    torch.testing.assert_close(whole, torch.stack(each).sum(0))
    torch.testing.assert_close(
        said(base, Said("pan left, shake", 0.5)), said(base, Said("pan left", 0.5), Said("shake", 0.5))
    )


def test_a_curve_is_of_the_speed_of_what_goes_on(base: Base) -> None:
    """The way up to a frame is the sum of the speeds since the first."""
    found = speeds(base, Said("pan left", RISING), "camera pan_left")
    ways = [k * value for k, value in enumerate(found.tolist())]
    assert ways == pytest.approx([0, *accumulate(SHARES[1:])], abs=1e-5)


def test_a_curve_is_of_the_size_of_what_comes_back(base: Base) -> None:
    for name in ("subject breathe", "subject jump", "shake shake"):
        found = speeds(base, Said(name.partition(" ")[2], [RISING, RISING]), name)
        assert found.tolist() == pytest.approx([share**2 for share in SHARES], abs=1e-6)


@pytest.mark.parametrize(("degree", "speed"), [(None, 1.0), (0.0, 0.15), (0.5, 0.625), (1.0, 1.1)])
def test_a_degree_lies_between_the_slowest_and_the_fastest(base: Base, degree: float | None, speed: float) -> None:
    known = replace(base.vocabulary, speeds=dict.fromkeys(base.vocabulary.vectors, (0.15, 1.1)))
    half = speeds(replace(base, vocabulary=known), Said("drift left", 0.5, degree=degree), "subject drift_left")
    assert half.tolist() == pytest.approx([speed / 2] * 16)


def test_one_strength_for_all_parts_is_a_speed() -> None:
    assert as_speed("pan", 0.5) == 0.5
    assert as_speed("pan", Strength.of(RISING)) == RISING
    with pytest.raises(MIVAError, match=r"^pan is said in words, which have one speed and no parts"):
        as_speed("pan", Strength(prompt=0.5))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Said(""), "What is said to the base is '', expected words"),
        (lambda: Said("pan\nleft"), "What is said to the base is 'pan.nleft', expected words"),
        (lambda: Said("pan left", float("nan")), "The weight of pan left is nan, expected a number"),
        (lambda: Said("pan left", degree=1.5), "The degree of pan left is 1.5, expected a number from 0 to 1"),
        (lambda: Said("pan left", Curve.more_early()), "The speed of pan left has a curve over the run"),
        (lambda: Said("pan left", name=3), "The name of a motion is 3, expected a text"),
    ],
)
def test_what_is_no_saying_is_refused(make, match: str) -> None:
    with pytest.raises(MIVAError, match=match):
        make()


MASK = torch.ones(8, 8)


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ([Said("pan lift")], "'pan lift' is unknown to this base; the nearest that it knows are pan left"),
        ([Said("rain", name="wet")], "The words of wet: 'rain' is unknown"),
        ([Said("dolly in"), Said("pan left")], "left are both about the camera, .* leave one out, or film the"),
        ([Said("pan left, zoom in")], "says two things of the camera"),
        ([Said("jump"), Said("breathe")], "jump and breathe are both about the subject, .* or mark what each of them"),
        ([Said("zoom in", mask=MASK)], "A mask is given for zoom in, but zoom in moves the whole picture.* drift left"),
        ([Said("shake", mask=MASK)], "A mask is given for shake, but shake moves .* or film the picture, where"),
    ],
)
def test_what_a_base_cannot_hear_is_refused(base: Base, words: list[Said], match: str) -> None:
    with pytest.raises(MIVAError, match=match):
        check_said(base, {one.label: one for one in words})


def test_masked_words_may_be_about_one_thing(base: Base) -> None:
    check_said(base, {"a": Said("jump", mask=MASK), "b": Said("jump", mask=MASK), "c": Said("breathe")})


def test_a_base_that_does_not_move_by_words_is_named(base: Base) -> None:
    for vocabulary in (None, Vocabulary(("camera",), {"camera pan_left": torch.ones(3)})):
        with pytest.raises(
            MIVAError, match="The miramo base does not move by words such as 'pan left': choose the base"
        ):
            check_said(replace(base, vocabulary=vocabulary), {"pan left": Said("pan left")})
