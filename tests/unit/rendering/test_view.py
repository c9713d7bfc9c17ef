"""Which size a clip has, and which part of a picture it begins with."""

from typing import Any

import pytest

from miva_core.errors import MIVAError
from miva_core.rendering.view import View, choose_size

OWN = [
    # a picture, (height, width), and the clip it becomes by itself
    ((480, 640), (480, 640)),
    ((481, 641), (480, 640)),
    ((768, 1024), (768, 1024)),
    ((3000, 4000), (768, 1024)),
    ((4000, 3000), (1024, 768)),
    ((683, 1025), (682, 1024)),
    ((64, 64), (64, 64)),
    ((30, 40), (64, 84)),  # 85.33 wide
    ((16, 16), (64, 64)),
    ((65, 2000), (64, 1968)),  # 2000 / 65 * 64 = 1969.2: the longer side gives way to what the base needs
]
ASKED = [
    ((480, 640), (480, 640)),
    ((481, 639), (480, 638)),
    ((16, 4096), (16, 4096)),
    ([300, 200], (300, 200)),
    ((None, 300), (200, 300)),  # of a picture of 600×400
    ((300, None), (300, 450)),
    ((301, None), (300, 452)),  # 451.5 wide
    ((None, 301), (200, 300)),
]


@pytest.mark.parametrize(("picture", "expected"), OWN)
def test_a_clip_has_the_aspect_and_size_of_its_picture_within_limits(
    picture: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert choose_size(None, picture, least=64) == expected


@pytest.mark.parametrize(("asked", "expected"), ASKED)
def test_a_size_that_is_asked_for_is_made_with_even_sides(asked: Any, expected: tuple[int, int]) -> None:
    assert choose_size(asked, (400, 600), least=64) == expected


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ((1, 1), "The size 1×1 cannot be used: each side of a clip must be from 16 to 4096 pixels."),
        ((16_000, 16_000), "The size 16000×16000 cannot be used"),
        ((15, 64), "The size 64×15 cannot be used"),
        ((4098, 64), "The size 64×4098 cannot be used"),
        ((None, 4096 * 2), "The size 8192×5461 cannot be used"),
        ((0, 64), "The size 64×0 cannot be used"),
        ((-64, 64), "The size 64×-64 cannot be used"),
        (64, r"The size is 64, but it must be \(height, width\)"),
        ((64, 64, 3), r"The size is \(64, 64, 3\), but it must be \(height, width\)"),
        ((64.0, 64), r"The size is \(64\.0, 64\), but it must be \(height, width\) in whole pixels."),
        ((None, None), r"The size is \(None, None\), but it must be"),
        ("64x64", "The size is '64x64', but it must be"),
    ],
)
def test_sizes_that_cannot_be_made_are_refused(asked: Any, message: str) -> None:
    with pytest.raises(MIVAError, match=message):
        choose_size(asked, (400, 600), least=64)


def test_a_picture_that_is_all_length_has_no_clip_of_its_own_aspect() -> None:
    with pytest.raises(MIVAError, match=r"The picture, 9000×50, is too narrow .* ask for another size"):
        choose_size(None, (50, 9000), least=64)
    assert choose_size((64, 128), (50, 9000), least=64) == (64, 128)


@pytest.mark.parametrize(
    ("picture", "size", "box"),
    [
        ((480, 640), (480, 640), (0, 0, 480, 640)),
        ((480, 640), (240, 320), (0, 0, 480, 640)),
        ((480, 640), (480, 480), (0, 80, 480, 480)),
        ((640, 480), (64, 64), (80, 0, 480, 480)),
        ((480, 640), (720, 1280), (60, 0, 360, 640)),
        ((481, 641), (480, 640), (0, 0, 480, 640)),  # a row and a column are cut off: nothing is scaled
        ((481, 640), (480, 640), (0, 0, 480, 640)),
        ((963, 1281), (480, 640), (1, 0, 961, 1281)),
    ],
)
def test_a_clip_begins_with_the_middle_of_its_picture(
    picture: tuple[int, int], size: tuple[int, int], box: tuple[int, ...]
) -> None:
    assert View.of(picture, size) == View(size, box)


def test_a_sliver_of_a_picture_is_refused() -> None:
    with pytest.raises(MIVAError, match=r"Of the picture, 100×100, a clip of 4096×16 would show no more than 100×1"):
        View.of((100, 100), (16, 4096))


def test_a_sliver_is_made_of_a_larger_picture_or_at_another_aspect() -> None:
    """As its refusal says: 8 of 2048 rows are enough."""
    assert View.of((2048, 2048), (16, 4096)).box == (1020, 0, 8, 2048)
    assert View.of((100, 100), (16, 200)).box == (46, 0, 8, 100)
