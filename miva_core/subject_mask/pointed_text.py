"""Boxes and points as people write them, with or without brackets and spaces."""

import math
import re

from ..errors import MIVAError

_LABELS = {(): 1, ("1",): 1, ("0",): 0}


def parse_box(text: str) -> list[float]:
    """Left, top, right and bottom in pixels, of "x0,y0,x1,y1".

    Raises:
        MIVAError: it is none.
    """
    try:
        x0, y0, x1, y1 = (_finite(part) for part in re.sub(r"[\[\](),]", " ", text).split())
    except ValueError:
        raise MIVAError(f"{text!r} is not left,top,right,bottom in pixels") from None
    return [x0, y0, x1, y1]


def parse_points(text: str) -> list[tuple[float, float, int]]:
    """Points (x, y, label) of "x,y x,y,0": the label is 1 on a subject and 0 beside it.

    Raises:
        MIVAError: a part of it is no point.
    """
    points = []
    apart = re.sub(r"[\[(]", " ", re.sub(r"[\])]\s*,?", " ", text))
    for part in re.sub(r"\s*,\s*", ",", apart).split():
        try:
            x, y, *label = part.split(",")
            points.append((_finite(x), _finite(y), _LABELS[tuple(label)]))
        except (ValueError, KeyError):
            told = f"{part!r} is not X,Y in pixels, or X,Y,0 for a point beside the subject"
            raise MIVAError(told) from None
    return points


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number
