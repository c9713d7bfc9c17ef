"""What `animate` makes of degrees on its command line."""

import argparse
from collections.abc import Sequence

import pytest

from miva_core.cli.arguments.animate import add_animate
from miva_core.cli.chosen_motions import read_motions
from miva_core.errors import MIVAError

FILE = "miva_core/bases/tiny/adapters/pan_left.safetensors"


def degrees(*options: str, motions: Sequence[str] = ("pan_left", "zoom_in", "jump")) -> list[float | None]:
    """Of the motions, in their order."""
    parser = argparse.ArgumentParser()
    add_animate(parser)
    named = [word for motion in motions for word in ("--miva", motion)]
    given = [word for option in options for word in ("--degree", option)]
    return [one.degree for one in read_motions(parser.parse_args(["cat.png", "--out", "clip.mp4", *named, *given]))]


def test_a_degree_without_a_motion_is_told() -> None:
    with pytest.raises(
        MIVAError, match=r"A degree is given for 'pan_left', but no motion: name it by --miva or --say, too\."
    ):
        degrees("pan_left=0.6", motions=[])


def test_a_degree_belongs_to_the_motion_that_it_names() -> None:
    assert degrees() == [None, None, None]
    assert degrees("zoom_in=0", "pan_left=0.6") == [0.6, 0.0, None]
    assert degrees(f"{FILE}=1", motions=[FILE]) == degrees("pan_left=1", motions=[FILE]) == [1.0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["pan_left"], "'pan_left' is no degree of a motion"),
        (["=0.5"], "'=0.5' is no degree of a motion"),
        (["pan_left=fast"], "'pan_left=fast' is no degree of a motion"),
        (["pan_left=nan"], "'pan_left=nan' is no degree of a motion"),
        (["rise=0.5"], "A degree is given for 'rise', but the motions are pan_left, zoom_in, jump: write --"),
        (["pan_left=0.5", "pan_left=1"], "Two degrees are given for pan_left"),
        (["pan_left=1.2"], "The degree of pan_left is 1.2, expected a number from 0, its slowest motion, to 1"),
        (["pan_left=-1"], "The degree of pan_left is -1.0, expected"),
        (["jump=0.5"], "jump was trained without a degree"),
    ],
)
def test_mistakes(options: Sequence[str], message: str) -> None:
    with pytest.raises(MIVAError) as raised:
        degrees(*options)
    assert str(raised.value).startswith(message) and "\n" not in str(raised.value)
