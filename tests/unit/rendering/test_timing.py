import numpy as np
import pytest

from miva_core.errors import MIVAError
from miva_core.rendering.timing import Timing, back_and_forth, flow_times


def test_the_rate_of_the_flow_gives_its_frames() -> None:
    assert flow_times(Timing(fps=8), 16, 8).tolist() == list(range(16))


def test_the_speed_is_fixed_and_the_duration_says_how_much_is_seen() -> None:
    default, half, long = (flow_times(Timing(duration=seconds), 16, 8) for seconds in (None, 1.0, 4.0))
    assert (len(default), len(half), len(long)) == (48, 24, 96)
    np.testing.assert_allclose(np.diff(long), 8 / 24)
    assert default.tolist() == long[:48].tolist() and half.tolist() == long[:24].tolist()


@pytest.mark.parametrize("easing", ["ease-in", "ease-out", "ease-in-out"])
def test_an_easing_warps_the_way_and_not_its_end(easing: str) -> None:
    linear, times = flow_times(Timing(fps=10, duration=3), 16, 8), flow_times(Timing(10, 3, easing), 16, 8)
    assert len(times) == len(linear) and times[0] == 0 and times[-1] == pytest.approx(linear[-1])
    share = linear / linear[-1]
    curve = {"ease-in": share**2, "ease-out": 1 - (1 - share) ** 2, "ease-in-out": (1 - np.cos(np.pi * share)) / 2}
    # A smoothstep is a cosine to 1 %.
    np.testing.assert_allclose(times / times[-1], curve[easing], atol=0.011 if easing == "ease-in-out" else 1e-12)


def test_a_loop_goes_out_for_half_of_its_duration_and_back() -> None:
    times = flow_times(Timing(loop=True), 16, 8)
    assert len(times) == 96 and times[0] == 0 and times.max() == times[48] == pytest.approx(15)
    np.testing.assert_array_equal(times[1:], times[1:][::-1])
    np.testing.assert_allclose(np.abs(np.diff([*times, times[0]])), 15 / 48)
    assert flow_times(Timing(duration=6, loop=True), 16, 8).max() == pytest.approx(24)


@pytest.mark.parametrize("count", [7, 8])
@pytest.mark.parametrize("easing", ["ease-in", "ease-out", "ease-in-out"])
def test_an_eased_loop_slows_down_at_both_turns_and_closes(easing: str, count: int) -> None:
    times = flow_times(Timing(8, count / 8, easing, loop=True), 16, 8)
    twice = np.concatenate([times, times, times])
    steps = np.abs(np.diff(twice))[count : 2 * count]
    assert steps.argmax() not in (0, count - 1) and times[0] == 0
    np.testing.assert_allclose(steps, steps[::-1], atol=1e-12)
    np.testing.assert_allclose(times.max(), count / 2, rtol=0.06)


def test_at_least_two_frames_are_made() -> None:
    assert flow_times(Timing(duration=0.001), 16, 8).tolist() == [0, 8 / 24]


def test_what_turns_at_its_ends_does_not_rest_there() -> None:
    walked = [back_and_forth(time, 4) for time in range(14)]
    assert walked == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1]
    fine = np.array([back_and_forth(time, 4) for time in np.arange(0, 40, 0.01)])
    np.testing.assert_allclose(np.abs(np.diff(fine)), 0.01, atol=1e-9)
    assert back_and_forth(7.3, 1) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"fps": 0},
        {"fps": 1000},
        {"fps": float("nan")},
        {"fps": "24"},
        {"duration": 0},
        {"duration": -1},
        {"duration": 61},
        {"easing": "bounce"},
        {"loop": 1},
    ],
    ids=str,
)
def test_what_no_clip_has_is_refused(wrong: dict) -> None:
    with pytest.raises(MIVAError, match=str(next(iter(wrong.values())))):
        Timing(**wrong)
