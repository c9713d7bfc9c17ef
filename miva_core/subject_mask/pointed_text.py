"""Parse boxes and points as people write them, with or without brackets and spaces."""

import math
import re

from ..errors import MIVAError

_LABELS: dict[tuple[str, ...], int] = {(): 1, ("1",): 1, ("0",): 0}


def parse_box(text: str) -> list[float]:
    """Parse a box "x0,y0,x1,y1" into left, top, right and bottom in pixels.

    Raises:
        MIVAError: the text is no box.
    """
    try:
        x0, y0, x1, y1 = (_finite(part) for part in re.sub(r"[\[\](),]", " ", text).split())
    except ValueError:
        raise MIVAError(f"{text!r} is not left,top,right,bottom in pixels") from None
    return [x0, y0, x1, y1]


def parse_points(text: str) -> list[tuple[float, float, int]]:
    """Parse points "x,y x,y,0" into (x, y, label), in pixels; the label is 1 on a subject and 0 off it.

    Raises:
        MIVAError: a part of the text is no point.
    """
    points = []
    spaced = re.sub(r"[\[(]", " ", re.sub(r"[\])]\s*,?", " ", text))
    for part in re.sub(r"\s*,\s*", ",", spaced).split():
        try:
            x, y, *label = part.split(",")
            points.append((_finite(x), _finite(y), _LABELS[tuple(label)]))
        except (ValueError, KeyError):
            text = f"{part!r} is not X,Y in pixels, or X,Y,0 for a point beside the subject"
            raise MIVAError(text) from None
    return points


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number
