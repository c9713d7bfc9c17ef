"""A small plot of numbers as a picture."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .contact_sheet import label_font

_HEIGHT, _WIDTH = 320, 640
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 34, 30
"""Pixels around the field, for its labels."""
_TEXT = 14
_LINE, _GRID, _INK = (31, 119, 180), (225, 225, 225), (60, 60, 60)
_FINE = 3
"""Bits of a pixel's fraction in coordinates that lines are drawn at."""
_TICKS = 4


def line_plot(places: Sequence[float], values: Sequence[float], title: str) -> Tensor:
    """Plot values over places as a line; the axis of values begins at 0, or lower where some are.

    Args:
        places: (N,) along the axis to the right, rising, at least one.
        values: (N,) NaN where the line is to have a gap.
        title: what is plotted, in a few words.

    Returns:
        (320, 640, 3) in [0, 1].
    """
    import cv2

    known = [value for value in values if math.isfinite(value)]
    ticks = _ticks(min([0.0, *known]), max([0.0, *known]))
    across = places[0], max(places[-1], places[0] + 1e-9)
    pixels = np.full((_HEIGHT, _WIDTH, 3), 255, np.uint8)
    for tick in ticks:
        _, y = _place(0, tick, across, ticks)
        cv2.line(pixels, (_LEFT, round(y)), (_WIDTH - _RIGHT, round(y)), _GRID)
    for line in _unbroken(places, values):
        points = np.array([_place(*point, across, ticks) for point in line]) * 2**_FINE
        cv2.polylines(pixels, [points.round().astype(np.int32)], False, _LINE, 2, cv2.LINE_AA, _FINE)
        for x, y in points.round().astype(int).tolist():
            cv2.circle(pixels, (x, y), 3 * 2**_FINE, _LINE, -1, cv2.LINE_AA, _FINE)
    return torch.from_numpy(_with_text(pixels, title, ticks, across)).float() / 255


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers, evenly spaced, that hold a range between them."""
    step = max(high - low, 1e-6) / _TICKS
    power = 10.0 ** math.floor(math.log10(step))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= step * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [k * step for k in range(first, max(last, first + 1) + 1)]


def _place(x: float, y: float, across: tuple[float, float], ticks: Sequence[float]) -> tuple[float, float]:
    """The pixel of a point."""
    right = (x - across[0]) / (across[1] - across[0])
    up = (y - ticks[0]) / (ticks[-1] - ticks[0])
    return _LEFT + right * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM)


def _unbroken(places: Sequence[float], values: Sequence[float]) -> list[list[tuple[float, float]]]:
    """The points of the line, in pieces between its gaps."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for place, value in zip(places, values, strict=True):
        if math.isfinite(value):
            pieces[-1].append((place, value))
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]


def _with_text(pixels: np.ndarray, title: str, ticks: Sequence[float], across: tuple[float, float]) -> np.ndarray:
    from PIL import Image, ImageDraw

    image, font = Image.fromarray(pixels), label_font(_TEXT)
    draw = ImageDraw.Draw(image)
    draw.text((_LEFT, 8), title, fill=_INK, font=font)
    for tick in ticks:
        _, y = _place(0, tick, across, ticks)
        draw.text((_LEFT - 8, y), f"{tick:.4g}", fill=_INK, font=font, anchor="rm")
    for place, anchor in ((across[0], "lt"), (across[1], "rt")):
        x, _ = _place(place, 0, across, ticks)
        draw.text((x, _HEIGHT - _BOTTOM + 8), f"{place:.4g}", fill=_INK, font=font, anchor=anchor)
    return np.array(image)
