"""How much of the noise is gone at a step, in numbers that mean the same for all models."""

from functools import lru_cache

import numpy as np

_BETAS = (0.00085, 0.012)


def noise_share(t: float, length: int, is_flow: bool) -> float:
    """The share of the noise that is gone at a step: near 0 when a run begins, 1 for a clean clip.

    In noise that preserves variance it is 1 - t/T. In flow matching it is the same number at the step of EDG's own
    schedule (DynamiCrafter's) whose noise is the same fraction σ/(α + σ) of the latents: so 0.5 is at σ = 0.640.

    Args:
        t: step of the process, in [0, T]; in flow matching T σ.
        length: number T of steps that the model was trained on.
        is_flow: whether the model is one for flow matching.
    """
    done = 1 - t / length
    if not is_flow:
        return done
    fractions = _fractions()
    return float(1 - np.interp(1 - done, fractions, np.arange(len(fractions))) / len(fractions))


@lru_cache(maxsize=1)
def _fractions() -> np.ndarray:
    """(1000,) rising, σ/(α + σ) of a scaled-linear schedule with its end at no signal at all."""
    first, last = np.sqrt(_BETAS)
    alphas = np.sqrt(np.cumprod(1 - np.linspace(first, last, 1000) ** 2))
    alphas = (alphas - alphas[-1]) * alphas[0] / (alphas[0] - alphas[-1])
    sigmas = np.sqrt(1 - alphas**2)
    return sigmas / (alphas + sigmas)
