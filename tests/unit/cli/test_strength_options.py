"""What `animate` makes of strengths on its command line."""

import argparse
import re
from collections.abc import Sequence

import pytest

from miva_core.attention.curve import Curve
from miva_core.attention.strength import Part, Strength
from miva_core.cli.arguments.animate import add_animate
from miva_core.cli.chosen_motions import read_motions
from miva_core.errors import MIVAError

PULSE = Curve(((0.0, 0.0), (0.5, 1.0), (1.0, 0.0)), "linear", "frames")


def strengths(*options: str, motions: Sequence[str] = ("pan_left",)) -> list[float | Strength]:
    """Of the motions, in their order."""
    parser = argparse.ArgumentParser()
    add_animate(parser)
    named = [word for motion in motions for word in ("--miva", motion)]
    return [one.strength for one in read_motions(parser.parse_args(["cat.png", "--out", "clip.mp4", *named, *options]))]


def test_without_curves_a_motion_has_its_weight() -> None:
    assert strengths(motions=["pan_left:0.5", "zoom_in"]) == [0.5, 1.0]


def test_curves_belong_to_the_motion_that_they_name() -> None:
    given = strengths(
        *("--strength", "pan_left=0:1.5,0.5:1", "--frames-strength", "pan_left=0,1,0", "--edg", "zoom_in"),
        motions=["pan_left", "zoom_in:2", "roll_cw"],
    )
    edg = Curve(((0.0, -0.375), (0.5, 2.5)), "hold", "noise")
    assert given == [Strength.of((Curve.more_early(), PULSE)), Strength.of(edg), 1.0]


def test_parts_of_a_motion_have_curves_of_their_own() -> None:
    (given,) = strengths("--strength", "pan_left=0:1.5,0.5:1/prompt", "--strength", "pan_left=0.5/temporal")
    assert given == Strength(1.0, Curve.more_early(), 0.5)
    assert Strength.of(given).at(0.5, 0.5)[Part.TEMPORAL] == 0.5


def test_a_motion_may_be_named_by_its_file_as_it_was_typed() -> None:
    file = "miva_core/bases/tiny/adapters/pan_left.safetensors"
    by_name, by_file = (strengths("--frames-strength", f"{name}=0,1,0", motions=[file]) for name in ("pan_left", file))
    assert by_name == by_file == [Strength.of(PULSE)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--strength", "zoom_in=0:1"], "A strength is given for 'zoom_in', but the motions are pan_left: write --"),
        (["--edg", "zoom_in"], "A strength is given for 'zoom_in', but the motions are pan_left: write --"),
        (["--strength", "pan_left"], "'pan_left' names no motion"),
        (["--strength", "pan_left=0.5:1,0:1"], "The points of a curve lie at 0.5, 0: let them rise."),
        (["--frames-strength", "pan_left=0:1,24:0"], "The point 24:0 lies beyond the clip"),
        (["--strength", "pan_left=1,1.5", "--edg", "pan_left"], "Two strengths over the run are given for pan_left"),
    ],
)
def test_what_is_no_strength_is_told(options: list[str], message: str) -> None:
    with pytest.raises(MIVAError) as raised:
        strengths(*options)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("options", "example"),
    [
        (["--strength", "pan_left=0:1"], '--strength "pan_left (1)=0:1.5,0.5:1"'),
        (["--frames-strength", "pan_left=1,0"], '--frames-strength "pan_left (1)=0,1,0"'),
        (["--edg", "pan_left"], '--edg "pan_left (1)"'),
    ],
)
def test_an_ambiguous_strength_is_answered_by_an_example_of_its_own_option(options: list[str], example: str) -> None:
    """Of which the option and a name that means one motion are as they must be."""
    told = f"the motions are pan_left (1), pan_left (2): write {example}, for example."
    with pytest.raises(MIVAError, match=re.escape(told)):
        strengths(*options, motions=["pan_left", "pan_left"])
