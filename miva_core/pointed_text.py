"""Boxes and points as people write them."""

from .errors import MIVAError

_LABELS = {(): 1, ("1",): 1, ("0",): 0}


def parse_box(text: str) -> list[float]:
    """Left, top, right and bottom in pixels, of "x0,y0,x1,y1".

    Raises:
        MIVAError: it is none.
    """
    try:
        box = [float(part) for part in text.split(",")]
    except ValueError:
        box = []
    if len(box) != 4:
        raise MIVAError(f"{text!r} is not left,top,right,bottom in pixels")
    return box


def parse_points(text: str) -> list[tuple[float, float, int]]:
    """Points (x, y, label) of "x,y x,y,0": the label is 1 on a subject and 0 beside it.

    Raises:
        MIVAError: a part of it is no point.
    """
    points = []
    for part in text.split():
        try:
            x, y, *label = part.split(",")
            points.append((float(x), float(y), _LABELS[tuple(label)]))
        except (ValueError, KeyError):
            told = f"{part!r} is not X,Y in pixels, or X,Y,0 for a point beside the subject"
            raise MIVAError(told) from None
    return points
