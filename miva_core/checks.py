"""Checks of numbers and texts that come from a person or a file."""

import math
from typing import Any

LARGEST = 65_536
"""No rank, side or length that makes sense is above this; a file that claims more is not worth the memory."""


def is_number(value: Any) -> bool:
    """Whether this is a finite real number that float64 can hold; bool is none."""
    try:
        return (is_whole(value) or isinstance(value, float)) and math.isfinite(value)
    except OverflowError:
        return False


LARGEST_STRENGTH = 1e6
"""No strength of an adapter that makes sense is above this; far beyond it float32 overflows."""


LARGEST_VALUE = 1e3
"""No value in an adapter that makes sense is above this: what training finds stays near 1. Filled with it, adapters of
the built-in U-Net still make clips; filled with ten times as much, they make NaN."""


def is_strength(value: Any) -> bool:
    """Whether this is a number that can be the strength of an adapter."""
    return is_number(value) and abs(value) <= LARGEST_STRENGTH


_LONGEST_NAME = 255
"""No file system allows longer names; what is longer is cut where it is shown."""


def printable(text: str, longest: int = _LONGEST_NAME) -> str:
    """Make a text from a file safe to show in a message, on one line.

    Args:
        text: if it holds line breaks, terminal codes or lone surrogates, it is written in ASCII as Python writes it.
        longest: number of characters after which it is cut.
    """
    part = text[:longest]
    return (part if part.isprintable() else ascii(part)) + ("…" if len(text) > longest else "")


def shown(value: Any) -> str:
    """Write a value from a file into a message: as Python writes it, in ASCII, cut after 60 characters."""
    try:
        text = ascii(value)
    except (ValueError, RecursionError):  # integers of thousands of digits, and what is nested as deeply
        text = "a huge value"
    return printable(text, 60)


def is_whole(value: Any) -> bool:
    """Whether this is an integer of any size; bool is an int to Python, but never a number of anything here."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_count(value: Any) -> bool:
    """Whether this is an integer from 1 to LARGEST."""
    return is_whole(value) and 1 <= value <= LARGEST


def is_line(value: Any) -> bool:
    """Whether this is a text that can be printed on one line: no line breaks, terminal codes or lone surrogates."""
    return isinstance(value, str) and value.isprintable()
