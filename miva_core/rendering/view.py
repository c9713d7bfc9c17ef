"""What frame 1 of a clip is framed on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class View:
    """A part of a picture, and the size at which a clip shows it.

    Attributes:
        size: (height, width) of the clip in pixels, both even.
        box: (top, left, height, width) of the part, in pixels of the picture and within it. What lies around it is
            real content, which a camera that moves there shows.
    """

    size: tuple[int, int]
    box: tuple[int, int, int, int]
