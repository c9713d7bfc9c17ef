"""What is said of strengths that change in the course of a run."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

from miva_core import Base, Curve, MIVAAdapter, MIVAConfig, Motion, RunOptions, load_base
from miva_core.animation.steps import check_strengths, choose_steps
from miva_core.attention.strength import Level
from miva_core.errors import MIVAError, MIVAWarning

PULSE = Curve(((0.0, 0.0), (0.5, 1.0), (1.0, 0.0)), over="frames")
FALLING = Curve.more_early(1.5, 1.0)


@pytest.fixture(scope="module")
def tiny() -> Base:
    return load_base("tiny")


@pytest.fixture
def warned(tiny: Base) -> Callable[..., list[str]]:
    """warned(strength, span, **options): of a motion named "one" in four steps."""

    def said(strength: Level, span: tuple[float, float] = (0.0, 1.0), **options: Any) -> list[str]:
        adapter = MIVAAdapter(tiny.backbone, MIVAConfig(cfa_rank=1, ca_rank=1, ta_rank=1))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", MIVAWarning)
            steps = choose_steps(tiny, RunOptions(**({"steps": 4} | options)))
            check_strengths({"one": Motion(adapter, strength, span=span)}, steps)
        return [str(warning.message) for warning in caught if "weak noise" not in str(warning.message)]

    return said


def test_on_a_base_in_strong_noise_the_strength_of_the_last_step_counts(warned: Callable[..., list[str]]) -> None:
    decides = (
        "On this base the last step alone decides: of the strengths of one, 1 to 1.5, only the last one counts, 1."
    )
    assert warned(FALLING) == warned([FALLING, PULSE]) == [decides]
    off = "one is off at the last step, which alone decides on the clips of this base: let it act to the end."
    assert warned(Curve(((0.0, 1.0), (0.7, 0.0)), "hold")) == warned(1.0, (0.0, 0.75)) == [off]


def test_where_no_strength_is_lost_nothing_is_said(warned: Callable[..., list[str]]) -> None:
    assert warned(0.0) == warned(1.5) == warned(PULSE) == warned(1.0, (0.5, 1.0)) == warned(FALLING, (0.5, 1.0)) == []
    assert warned(FALLING, sigmas=torch.tensor([80.0, 14.0, 3.0, 1.0, 0.0])) == []


def test_a_curve_that_ends_below_0_is_told_of_and_a_number_below_0_elsewhere(
    warned: Callable[..., list[str]],
) -> None:
    # EDG switches where half of the noise is gone; of this base's steps the last one leaves four fifths.
    (said,) = warned(Curve.edg())
    assert "there the strength of one is -0.1875: below 0" in said
    assert warned(-0.5) == []


def test_a_motion_that_acts_at_no_step_is_refused(warned: Callable[..., list[str]]) -> None:
    with pytest.raises(MIVAError, match="strength of one is 0 at all 4 steps: let its curve change it earlier"):
        warned(Curve(((0.0, 0.0), (0.5, 1.0)), "hold", "noise"))
    with pytest.raises(MIVAError, match="strength of one is 0 at all 4 steps"):
        warned(Curve(((0.0, 1.0), (0.3, 0.0)), "hold"), (0.3, 1.0))
    with pytest.raises(MIVAError, match=r"The span 0.1 to 0.2 of one holds none of the 4 steps"):
        warned(1.0, (0.1, 0.2))
