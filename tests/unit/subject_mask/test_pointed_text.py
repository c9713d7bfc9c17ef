"""Boxes and points as people write them."""

import pytest

from miva_core.errors import MIVAError
from miva_core.subject_mask.pointed_text import parse_box, parse_points

BOX = [10.0, 20.0, 200.0, 180.5]


@pytest.mark.parametrize(
    "text",
    [
        "10,20,200,180.5",
        "10, 20, 200, 180.5",
        "10 20 200 180.5",
        "[10, 20, 200, 180.5]",
        "(10, 20), (200, 180.5)",
    ],
)
def test_a_box_is_read_however_it_is_written(text: str) -> None:
    assert parse_box(text) == BOX


@pytest.mark.parametrize("text", ["", "10,20,30", "1,2,3,4,5", "a,b,c,d", "0,0,nan,5", "0,0,inf,5", "1;2;3;4"])
def test_what_is_no_box_is_told(text: str) -> None:
    with pytest.raises(MIVAError) as raised:
        parse_box(text)
    assert str(raised.value) == f"{text!r} is not left,top,right,bottom in pixels"


@pytest.mark.parametrize(
    "text",
    [
        "120,80 30,40.5,0",
        "120, 80 30, 40.5, 0",
        "(120, 80), (30, 40.5, 0)",
        "[[120,80],[30,40.5,0]]",
        " 120,80\n30,40.5,0 ",
    ],
)
def test_points_are_read_however_they_are_written(text: str) -> None:
    assert parse_points(text) == [(120.0, 80.0, 1), (30.0, 40.5, 0)]


@pytest.mark.parametrize(
    ("text", "part"), [("10 20", "10"), ("1,2,3", "1,2,3"), ("nan,5", "nan,5"), ("1,2 x,3", "x,3")]
)
def test_what_is_no_point_is_told(text: str, part: str) -> None:
    with pytest.raises(MIVAError) as raised:
        parse_points(text)
    assert str(raised.value) == f"{part!r} is not X,Y in pixels, or X,Y,0 for a point beside the subject"
