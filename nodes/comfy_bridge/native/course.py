"""How far a sampling call is in its run, by the noise level of its sampler, as spans and curves count it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .network_noise import NetworkNoise

_EARLIER = 0.0012
"""Share of a schedule by which spans begin and end early, since ComfyUI's schedules are rounded to 1/1000."""
_SAME_STEP = 1e-3
"""Share of a step by which samplers may round its noise level."""
_LAST = 1 - 1e-9
"""There is no step at 1, where the run is over."""

PercentToSigma = Callable[[float], float]


class Course:
    """The way of one sampling call, which may be a part of a run's steps alone.

    Args:
        sigmas: (steps + 1) noise levels of the call.
        percent_to_sigma: of the MODEL's schedule.
        noise: of the MODEL.
        begins: whether the call begins with noise alone, and so at the beginning of a run.
    """

    def __init__(
        self, sigmas: Sequence[float], percent_to_sigma: PercentToSigma, noise: NetworkNoise, begins: bool
    ) -> None:
        self._percent_to_sigma = percent_to_sigma
        rises = sigmas[0] < sigmas[-1]
        places = np.arange(len(sigmas))
        # np.interp takes levels that rise.
        self._levels, self._places = (list(sigmas), places) if rises else (list(sigmas)[::-1], places[::-1])
        self._noise = [noise.share_gone(sigma) for sigma in sigmas]
        self._start, self._end = self._part_of_run(sigmas, begins)
        self.steps = tuple(sigmas[:-1])

    def _part_of_run(self, sigmas: Sequence[float], begins: bool) -> tuple[float, float]:
        """Shares of the run at which the call begins and ends: those of its noise levels in the MODEL's schedule."""
        start, end = (self._percent_at(sigma) for sigma in (sigmas[0], sigmas[-1]))
        start = 0.0 if begins else start
        # Samplers may be given the last level alone, which is no step.
        whole = max(1, round((len(sigmas) - 1) / max(abs(end - start), _EARLIER)))
        return _at_step(start, whole), _at_step(end, whole)

    def _percent_at(self, sigma: float) -> float:
        low, high = 0.0, 1.0
        for _ in range(30):
            middle = (low + high) / 2
            low, high = (middle, high) if float(self._percent_to_sigma(middle)) > sigma else (low, middle)
        return high

    def at(self, sigma: float) -> tuple[float, float]:
        """The shares of the run's steps that are done and of its noise that is gone, see `Injection.set_progress`.

        Args:
            sigma: of the sampler. Between two steps both shares lie between theirs.
        """
        place = float(np.interp(sigma, self._levels, self._places))
        place = round(place) if abs(place - round(place)) < _SAME_STEP else place
        done = self._start + (self._end - self._start) * (place / max(1, len(self.steps)))
        noise = float(np.interp(place, range(len(self._noise)), self._noise))
        return min(max(done, 0.0), _LAST), noise

    def is_in(self, span: tuple[float, float], sigma: float) -> bool:
        """Whether a noise level of the sampler lies in a span, shares of the MODEL's schedule."""
        start, end = span
        begun = start <= 0 or sigma <= self._percent_to_sigma(start - _EARLIER)
        return begun and (end >= 1 or sigma > self._percent_to_sigma(end - _EARLIER))


def _at_step(share: float, steps: int) -> float:
    """The share at the step of a run that is meant, so that one in two parts is the same as in one."""
    nearest = round(share * steps) / steps
    return nearest if abs(share - nearest) < _EARLIER else share
