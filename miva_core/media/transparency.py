"""Transparency of pictures and clips: what counts as opaque, and the warnings about it."""

import warnings

from torch import Tensor

from ..errors import MIVAWarning

OPAQUE = 250
"""Of 255. Values from here on count as fully opaque, since lossy codecs do not bring 255 back exactly."""


def is_opaque(opacity: Tensor) -> bool:
    """Whether opacity, floats in [0, 1] of any shape, is full everywhere."""
    return bool(opacity.min() >= OPAQUE / 255)


def is_cut_out(opacity: Tensor) -> bool:
    """Whether opacity of any shape, floats in [0, 1] or uint8, sets a subject apart from what is around it."""
    half = 0.5 if opacity.is_floating_point() else 127
    return bool(opacity.min() <= half < opacity.max())


def warn_over_white(name: str) -> None:
    """Warn that what is transparent in a file, or in several, is lost.

    Args:
        name: of the file or files.
    """
    warnings.warn(f"What is transparent in {name} is shown over white.", MIVAWarning, stacklevel=3)


def warn_masks_from_opacity(name: str) -> None:
    """Warn that what is opaque of a file, or of several, is taken as its masks.

    Args:
        name: of the file or files.
    """
    text = f"Masks are taken from the transparency of {name}: opaque is the subject."
    warnings.warn(text, MIVAWarning, stacklevel=3)
