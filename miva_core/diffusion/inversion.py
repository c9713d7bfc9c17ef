"""From a clip back to the noise that a flow model would make it of, and to the same motion from another first frame.

Both are MiraMo's ways to carry a motion over to another picture. On a base that answers from its first frame, as the
built-in one does, the noise holds the old picture rather than its motion: 12.0 dB with another picture, where a still
one has 13.1.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ..checks import is_number, is_whole
from ..errors import MIVAError

Velocity = Callable[[Tensor, float], Tensor]
"""From noisy latents x and their level sigma in (0, 1] to what a flow model answers, noise - x_0."""
_ABOVE = 1e-5
"""By how much the strongest noise may be above 1: ComfyUI shifts levels in float32."""


def invert(velocity: Velocity, clean: Tensor, sigmas: Sequence[float], refine: int = 0) -> Tensor:
    """Find the noise from which Euler's method makes a clip, by going its steps backwards.

    A step backwards asks for the velocity where it arrives, x' = x + (s' - s) v(x', s'), as Euler's step from there
    does. The first guess of x' is x; each refinement puts the last guess in. So the model is never asked about clean
    latents, and nothing is divided by 1 - sigma.

    Args:
        velocity: the model, without CFG.
        clean: latents of the clip, or whatever the model takes, such as their differences from frame 1.
        sigmas: (steps + 1) levels of the sampler that is to make the clip, falling from 1 or less to 0.
        refine: times that each step is refined. Refinement ends early where guesses move apart, as between few levels.

    Returns:
        Like `clean`, at the first level.

    Raises:
        MIVAError: the levels are no such levels, or `refine` is negative.

    Source: "rectified-flow inversion" in MiraMo, arXiv 2508.07246.
    """
    check_levels(sigmas)
    if not is_whole(refine) or refine < 0:
        raise MIVAError(f"refine is {refine!r}, but it must be a whole number from 0.")
    noisy = clean
    for level, higher in pairwise(reversed(sigmas)):
        noisy = _step_back(velocity, noisy, higher - level, higher, refine)
    return noisy


def _step_back(velocity: Velocity, start: Tensor, rise: float, level: float, refine: int) -> Tensor:
    guess, moved = start + rise * velocity(start, level), float("inf")
    for _ in range(refine):
        following = start + rise * velocity(guess, level)
        before, moved = moved, float((following - guess).norm())
        if moved >= before:
            break
        guess = following
    return guess


def transplant(clip: Tensor, first: Tensor) -> Tensor:
    """Let another first frame move as a clip does, by the differences of its frames from its own; no model is asked.

    Args:
        clip: (B, C, F, h, w) latents.
        first: (B, C, 1, h, w) the other first frame.

    Returns:
        (B, C, F, h, w); the clip itself, bit for bit, where its own first frame is given.

    Raises:
        MIVAError: they are not of one size.
    """
    if clip.ndim != 5 or first.shape != clip[:, :, :1].shape:
        raise MIVAError(
            f"The first frame {tuple(first.shape)} and the clip {tuple(clip.shape)} must be of one size but for frames."
        )
    return torch.cat([first, clip[:, :, 1:] + (first - clip[:, :, :1])], dim=2)


def check_levels(sigmas: Sequence[float]) -> None:
    """Check that noise levels are those of a whole run of a flow model.

    Args:
        sigmas: (steps + 1) levels.

    Raises:
        MIVAError: they are not.
    """
    fall = len(sigmas) > 1 and all(map(is_number, sigmas)) and all(high >= low for high, low in pairwise(sigmas))
    if not fall or not 0 < sigmas[0] <= 1 + _ABOVE or sigmas[-1] != 0:
        told = ", ".join(f"{sigma:g}" for sigma in sigmas[:3])
        raise MIVAError(
            f"The SIGMAS ({told}{' …' if len(sigmas) > 3 else ''}) must fall from 1 or less to 0, as a flow model's "
            "do: connect a whole schedule, neither split nor flipped."
        )
