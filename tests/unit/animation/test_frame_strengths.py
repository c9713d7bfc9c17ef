from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from miva_core import Base, Curve, MIVAAdapter, MIVAConfig, Motion, Strength, load_base
from miva_core.animation.frame_strengths import asked_ways, frame_shares, reached

FRAMES = 9
SHARES = frame_shares(FRAMES)
PULSE = Curve(((0.0, 0.0), (0.5, 1.5), (1.0, 0.0)), over="frames")


@pytest.fixture(scope="module")
def tiny() -> Base:
    return load_base("tiny")


@pytest.fixture
def motion(tiny: Base) -> Callable[..., Motion]:
    """motion(strength, mask=False): of an untrained adapter."""

    def make(strength: object, mask: bool = False) -> Motion:
        return Motion(MIVAAdapter(tiny.backbone, MIVAConfig(cfa_rank=1, ca_rank=1, ta_rank=1, mask=mask)), strength)

    return make


def speed_at(base: Base, weight: float) -> float:
    """At a weight within what was measured."""
    weights, speeds = zip(*base.response, strict=True)
    return float(np.interp(weight, weights, speeds))


def test_segments_share_the_clip_and_meet_in_a_frame() -> None:
    first, second = (frame_shares(5, k, 2) for k in range(2))
    assert first + second[1:] == [k / 8 for k in range(9)] and first[-1] == second[0]


@pytest.mark.parametrize("shares", [SHARES, frame_shares(FRAMES, 1, 3)])
def test_the_ways_of_a_flow_grow_by_the_speed_at_the_curve(tiny: Base, motion: Callable, shares: list[float]) -> None:
    """The way in frame k is k times the speed of the weight there: from frame to frame it grows by the asked speed."""
    strength = reached(tiny, {"pan": motion(PULSE)}, shares)["pan"]
    weights = [strength.at(0, 0, share)[0] for share in SHARES]
    ways = [k * speed_at(tiny, weight) for k, weight in enumerate(weights)]
    grown = [after - before for before, after in pairwise(ways)]
    assert grown == pytest.approx([speed_at(tiny, PULSE.at(share)) for share in shares[1:]], abs=1e-9)


def test_a_curve_that_does_not_change_keeps_its_weight(tiny: Base, motion: Callable) -> None:
    for weight in (-0.5, 0.05, 0.5, 1.0, 1.7, 3.0, 1e6):
        curve = Curve(((0.0, weight),), over="frames")
        strength = reached(tiny, {"pan": motion(curve)}, SHARES)["pan"]
        assert strength.at(0, 0, 0.4) == pytest.approx((weight,) * 3)


def test_the_rest_of_a_strength_stays_as_it_is(tiny: Base, motion: Callable) -> None:
    late = Curve.span(2.0, 0.5, 1.0)
    strength = reached(tiny, {"pan": motion(Strength(0.3, [late, PULSE], late))}, SHARES)["pan"]
    assert strength.cross_frame == 0.3 and strength.temporal == late
    assert strength.at(0.2, 0.2, 0.5)[1] == 0 and strength.at(0.6, 0.6, 0.5)[1] > 0


@pytest.mark.parametrize("segment", [0, 1, 2])
def test_masked_motions_and_those_of_other_bases_are_as_strong_as_the_curve_says(
    tiny: Base, motion: Callable, segment: int
) -> None:
    """Several curves are multiplied; a segment has its part of them."""
    shares = frame_shares(FRAMES, segment, 3)
    fading = Curve(((0.0, 1.0), (1.0, 0.5)), "cosine", "frames")
    painting = replace(tiny, predicts_flow=False)
    for base, one in ((tiny, motion([PULSE, fading], mask=True)), (painting, motion([PULSE, fading]))):
        strength = reached(base, {"one": one}, shares)["one"]
        assert [strength.at(0, 0, share)[0] for share in SHARES] == [PULSE.at(x) * fading.at(x) for x in shares]


def test_without_a_curve_over_frames_a_motion_keeps_its_own(tiny: Base, motion: Callable) -> None:
    assert reached(tiny, {"pan": motion(0.7), "zoom": motion(Curve.span(1.0, 0.5, 1.0))}, SHARES) == {}


def test_the_ways_that_a_camera_is_asked_for(tiny: Base, motion: Callable) -> None:
    ease = Curve(((0.0, 0.0), (1.0, 1.0)), over="frames")
    asked = asked_ways(tiny, [motion(ease), motion(0.5), motion(PULSE, mask=True), motion(0.0)], FRAMES)
    assert asked is not None and asked.shape == (FRAMES, 2)
    np.testing.assert_allclose(np.diff(asked[:, 0]), [speed_at(tiny, share) for share in SHARES[1:]])
    np.testing.assert_allclose(asked[:, 1], range(FRAMES))
    assert asked_ways(tiny, [motion(0.5), motion(PULSE, mask=True)], FRAMES) is None
