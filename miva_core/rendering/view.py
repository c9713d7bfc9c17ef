"""What of a picture a clip shows at its first frame, and at which size."""

from dataclasses import dataclass

from ..checks import is_whole
from ..errors import MIVAError
from ..media.pictures import cropped_size, format_size

SMALLEST_SIDE = 16
"""Pixels, of a picture and of its clip: of fewer, sampling within the picture leaves hardly any to show."""
USUAL_SIDE = 1024
"""Pixels of a clip's longer side at most, where no size is asked for."""
LARGEST_SIDE = 4096
"""Pixels; what plays videos takes no larger ones."""
LARGEST_SUBJECT = 0.98
"""Share of a view from which on a mask leaves no ground for its subject to move over."""

Size = tuple[int, int]
AskedSize = tuple[int | None, int | None] | None
"""(height, width), of which a side may be left to the picture's aspect."""


@dataclass(frozen=True)
class View:
    """What of a picture a clip shows at its first frame.

    Attributes:
        size: (height, width) of the clip; both are even.
        box: top, left, height and width of what the first frame is framed on, in pixels of the picture. What lies
            around it is real, and may come into view.
    """

    size: Size
    box: tuple[int, int, int, int]

    @classmethod
    def of(cls, picture: Size, size: Size) -> "View":
        """The middle of a picture, as far as the aspect of a clip lets it be seen.

        Args:
            picture: its (height, width).
            size: (height, width) of the clip.

        Raises:
            MIVAError: hardly anything of the picture would be left.
        """
        height, width = framed_size(picture, size)
        if min(height, width) < SMALLEST_SIDE / 2:
            raise MIVAError(
                f"Of the picture, {format_size(picture)}, a clip of {format_size(size)} would show no more than "
                f"{format_size((height, width))}: take a larger picture, or a size nearer to its aspect."
            )
        return cls(size, ((picture[0] - height) // 2, (picture[1] - width) // 2, height, width))


def framed_size(picture: Size, size: Size) -> Size:
    """The (height, width) of the part of a picture that is framed for a clip.

    Where that is a pixel smaller than the picture it is cut off, rather than all the others be blurred by scaling.

    Args:
        picture: its (height, width).
        size: (height, width) of the clip.
    """
    if all(0 <= whole - side <= 1 for whole, side in zip(picture, size, strict=True)):
        return size
    return cropped_size(picture, size)


def choose_size(asked: AskedSize, picture: Size, least: int) -> Size:
    """Choose the size of a clip.

    Args:
        asked: what the user wants; None for the aspect and size of the picture, within `USUAL_SIDE` along the longer
            side and from `least` on along the shorter one.
        picture: its (height, width).
        least: pixels below which a picture is enlarged.

    Returns:
        (height, width); sides are rounded down to even numbers, which videos need.

    Raises:
        MIVAError: it is no size, or a side of it is below 16 or above 4096 pixels.
    """
    height, width = _asked(asked, picture) if asked is not None else _own(picture, least)
    if not all(SMALLEST_SIDE <= side <= LARGEST_SIDE for side in (height, width)):
        raise MIVAError(
            f"The size {format_size((height, width))} cannot be used: each side of a clip must be from "
            f"{SMALLEST_SIDE} to {LARGEST_SIDE} pixels."
        )
    return height // 2 * 2, width // 2 * 2


def _asked(asked: AskedSize, picture: Size) -> Size:
    if not isinstance(asked, tuple | list) or len(asked) != 2:
        raise MIVAError(f"The size is {asked!r}, but it must be (height, width).")
    if not all(side is None or is_whole(side) for side in asked) or asked == (None, None):
        raise MIVAError(f"The size is {asked!r}, but it must be (height, width) in whole pixels.")
    aspect, (height, width) = picture[1] / picture[0], asked
    if width is None:
        return height or 0, round((height or 0) * aspect)
    return round(width / aspect) if height is None else height, width


def _own(picture: Size, least: int) -> Size:
    """The aspect of the picture, and its size where that is usual."""
    scale = max(min(1.0, USUAL_SIDE / max(picture)), least / min(picture))
    height, width = (round(side * scale) for side in picture)
    if max(height, width) > LARGEST_SIDE:
        raise MIVAError(
            f"The picture, {format_size(picture)}, is too narrow for a clip of its own aspect: ask for another size."
        )
    return height, width
