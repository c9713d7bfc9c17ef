"""How often frames are shown for time to run evenly."""

import warnings
from itertools import accumulate
from pathlib import Path

import pytest
import torch

from miva_core.errors import MIVAError, MIVAWarning
from miva_core.media.video_times import pace_of_durations, pace_of_times

NAME = Path("a.mkv")


def times_of(*parts: tuple[int, float]) -> list[float]:
    """When frames begin, of so many that last so many seconds each, in milliseconds as Matroska keeps them."""
    lengths = [length for count, length in parts for _ in range(count)]
    return [round(time, 3) for time in accumulate(lengths[:-1], initial=0.0)]


def shown(times: list[float], repeats: tuple[int, ...] | None, fps: float) -> None:
    """Check against a player: in the middle of each tick it shows the last frame that has begun."""
    repeats = repeats or (1,) * len(times)
    sequence = [frame for frame, count in enumerate(repeats) for _ in range(count)]
    middles = [(tick + 0.5) / fps for tick in range(len(sequence))]
    assert sequence == [max(i for i, time in enumerate(times) if time <= middle) for middle in middles]


@pytest.mark.parametrize("slow", [0.5, 0.8, 0.9])
@pytest.mark.parametrize("counts", [(20, 60), (60, 20), (40, 40)])
def test_a_rate_that_changes_on_the_way(slow: float, counts: tuple[int, int]) -> None:
    """Halved, as by a phone in the dark, or from 30 to 24 or 27."""
    times = times_of((counts[0], 1 / 30), (counts[1], 1 / (30 * slow)))
    repeats, fps = pace_of_times(NAME, times, rate=len(times) / times[-1])
    assert repeats is not None
    shown(times, repeats, fps)
    if slow == 0.5:
        assert fps == pytest.approx(30, rel=0.01)
        assert repeats[: counts[0] - 1] == (1,) * (counts[0] - 1) and set(repeats[counts[0] : -1]) == {2}


def test_jitter_is_left_alone_and_a_rate_of_the_clock_is_not_believed() -> None:
    """Browsers record WebM without a rate; FFmpeg then names that of the clock, a thousand a second."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(100):
        lengths = torch.randint(28, 39, (299,), generator=generator)
        times = [0.0, *(lengths.cumsum(0) / 1000).tolist()]
        repeats, fps = pace_of_times(NAME, times, 1000)
        assert repeats is None and fps == pytest.approx(299 / times[-1])


@pytest.mark.parametrize("rate", [24000 / 1001, 25, 30, 60, 120])
def test_a_rate_that_is_named_is_exact(rate: float) -> None:
    assert pace_of_times(NAME, times_of((40, 1 / rate)), rate) == (None, rate)
    assert pace_of_times(NAME, [None] * 40, rate) == (None, rate)
    assert pace_of_times(NAME, [0.0], rate) == (None, rate)


@pytest.mark.parametrize("pause", [5, 9.7])
def test_pauses_of_a_screen_recording(pause: int) -> None:
    times = times_of((30, 1 / 30), (1, pause), (30, 1 / 30), (1, 0.5), (9, 1 / 30))
    repeats, fps = pace_of_times(NAME, times, 3)
    shown(times, repeats, fps)
    assert fps == pytest.approx(30, rel=0.01) and sum(repeats) == pytest.approx(30 * (pause + 2.8), abs=2)


@pytest.mark.parametrize(
    ("times", "why"),
    [
        ([0.04, 0.08, 0.12, 0.16, 0.08, 0.12, 0.16, 0.2], "they run backwards"),
        ([0, 0.04, 0.08, 0.12, 95443.7, 95443.74], r"a frame would last 9\.54e\+04 s"),
        ([-9.2e18, 0.0, 0.04, 0.08, 0.12], r"a frame would last 9\.2e\+18 s"),
        ([0.0, 0.04, 0.08, -95443.7], "they run backwards"),
    ],
)
@pytest.mark.parametrize("rate", [0, 25, 1000])
def test_times_that_cannot_be_right_are_told(times: list[float], why: str, rate: float) -> None:
    expected = (
        f"^The time stamps of a.mkv cannot be right: {why}. Its {len(times)} frames are taken as even, 25 a second."
    )
    with pytest.warns(MIVAWarning, match=expected):
        repeats, fps = pace_of_times(NAME, times, rate)
    assert repeats is None and fps == pytest.approx(25)


def test_frames_that_begin_at_once() -> None:
    assert pace_of_times(NAME, [0.0, 0.0, 0.0], 25) == (None, 25)
    repeats, fps = pace_of_times(NAME, [0.0, 0.04, 0.04, 0.08, 0.12], 25)
    assert repeats == (1, 0, 1, 1, 1) and fps == pytest.approx(25)


def test_neither_times_nor_a_rate() -> None:
    with pytest.raises(MIVAError, match=r"a\.mkv tells neither a rate"):
        pace_of_times(NAME, [None, None], 0)


def test_durations() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        repeats, fps = pace_of_durations(NAME, [0.02, 0.04, 0.02, 5.0])
        assert repeats == (1, 2, 1, 250) and fps == pytest.approx(50)
    with pytest.warns(MIVAWarning, match=r"16777215 times\. .* 25 a"):
        assert pace_of_durations(NAME, [0.001, 0.04, 0.04, 16777.215]) == (None, pytest.approx(25))
