"""What is transparent in pictures and clips: what of it counts, and what is told of it."""

import warnings

from torch import Tensor

from ..errors import MIVAWarning

OPAQUE = 250
"""Of 255: what is at least as opaque is so throughout, since lossy codecs do not bring 255 back exactly."""


def is_opaque(opacity: Tensor) -> bool:
    """Whether floats in [0, 1] of any shape are opaque throughout."""
    return bool(opacity.min() >= OPAQUE / 255)


def is_cut_out(opacity: Tensor) -> bool:
    """Whether opacity of any shape, floats in [0, 1] or uint8, sets a subject apart from what is around it."""
    half = 0.5 if opacity.is_floating_point() else 127
    return bool(opacity.min() <= half < opacity.max())


def warn_over_white(name: str) -> None:
    """Tell of something, by its name, that what is transparent in it is lost.

    Args:
        name: of a file, or of several.
    """
    warnings.warn(f"What is transparent in {name} is shown over white.", MIVAWarning, stacklevel=3)


def warn_masks_from_opacity(name: str) -> None:
    """Tell of something, by its name, that its masks are what is opaque of it."""
    text = f"Masks are taken from the transparency of {name}: opaque is the subject."
    warnings.warn(text, MIVAWarning, stacklevel=3)
