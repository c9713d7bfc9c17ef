"""Convert the uneven times of a video's frames to a constant rate and the repeats of each frame."""

import math
import warnings
from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from statistics import fmean, median

from ..errors import MIVAError, MIVAWarning

# Frames that are shown again fill the memory, and a damaged time stamp may ask for millions of them.
_MOST_SHOWN = 2000
_MOST_REPEATS = 20

Pace = tuple[tuple[int, ...] | None, float]
"""How often each frame is shown (None: once), and the constant rate in frames per second."""


def pace_of_durations(path: Path, durations: Sequence[float]) -> Pace:
    """Find the pace of frames by their durations: the shortest frame is shown once.

    Args:
        path: the file, for warnings.
        durations: of each frame in seconds, above 0.
    """
    shortest = min(durations)
    repeats = tuple(round(duration / shortest) for duration in durations)
    if _too_many(repeats):
        return None, _assumed_even(path, f"a frame would be shown {max(repeats)} times", len(durations), durations)
    return repeats, sum(repeats) / sum(durations)


def pace_of_times(path: Path, times: Sequence[float | None], rate: float) -> Pace:
    """Find the pace of frames by the times at which they begin.

    Jitter is ignored. Where frames are dropped or the pace changes on the way, it is that of the fastest tenth.

    Args:
        path: the file, for messages.
        times: when each frame begins, in seconds; None where the file does not say.
        rate: frames per second that the file names, 0 where it names none. It is used where the times agree with it or
            are missing.

    Raises:
        MIVAError: there are neither times nor a rate.
    """
    starts = [time for time in times if time is not None]
    lengths = [later - time for time, later in pairwise(starts)] if len(starts) == len(times) else []
    positive = [length for length in lengths if length > 0]
    if not positive:
        return None, _require_rate(path, rate)
    if min(lengths) < 0:
        return None, _assumed_even(path, "they run backwards", len(times), positive, rate)
    if _is_even(lengths):
        return None, _exact_rate(rate, 1 / fmean(lengths))
    fast = sorted(positive)[len(positive) // 10]
    # Single lengths are rounded, to a millisecond in some files.
    tick = fmean(length for length in positive if _is_usual(length, fast))
    shown_at = [round((time - starts[0]) / tick) for time in starts]
    repeats = tuple(later - shown for shown, later in pairwise([*shown_at, shown_at[-1] + 1]))
    if _too_many(repeats):
        return None, _assumed_even(path, f"a frame would last {max(lengths):.3g} s", len(times), positive, rate)
    return repeats, 1 / tick


def _require_rate(path: Path, rate: float) -> float:
    if not rate:
        raise MIVAError(f"The video {path} tells neither a rate nor when its frames are shown: convert it first.")
    return rate


def _exact_rate(rate: float, measured: float) -> float:
    """The rate that a file names, which is exact, unless the measured one is more than 5 % off."""
    return rate if abs(rate / measured - 1) < 0.05 else measured


def _too_many(repeats: Sequence[int]) -> bool:
    return sum(repeats) > max(_MOST_SHOWN, _MOST_REPEATS * len(repeats))


def _assumed_even(path: Path, why: str, count: int, lengths: Sequence[float], rate: float = 0) -> float:
    """Warn of times that cannot be right, and give the rate of their frames as if they were even."""
    fps = _exact_rate(rate, 1 / median(lengths))
    text = f"The time stamps of {path} cannot be right: {why}. Its {count} frames are taken as even, {fps:g} a second."
    warnings.warn(text, MIVAWarning, stacklevel=3)
    return fps


def _is_even(lengths: Sequence[float]) -> bool:
    """Whether all frames last equally long, but for jitter."""
    middle = median(lengths)
    return all(_is_usual(length, middle) for length in lengths) and _keeps_pace(lengths)


def _is_usual(length: float, middle: float) -> bool:
    return middle / 1.5 <= length <= 1.5 * middle


def _keeps_pace(lengths: Sequence[float]) -> bool:
    """Whether frames are never further from an even pace than chance explains (the CUSUM test, at 0.01 %)."""
    average = fmean(lengths)
    drift = max(abs(ahead) for ahead in accumulate(length - average for length in lengths))
    # Between neighbours, where a change of pace counts once only.
    jitter = math.sqrt(fmean((later - length) ** 2 / 2 for length, later in pairwise([lengths[0], *lengths])))
    return drift <= max(average, 2.23 * jitter * math.sqrt(len(lengths)))
