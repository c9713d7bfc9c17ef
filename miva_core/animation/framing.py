"""How a picture and its masks are brought to a clip at full size, and to the size that a base works at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from ..media.pictures import check_fit, describe_fit, pad_to, padded_size, scale_picture
from ..rendering.view import Size, View, framed_size

_FINEST = 2
"""Pixels of a padded picture to one of the clip at most, along a side: what is finer is not seen."""


@dataclass(frozen=True)
class Framing:
    """What becomes of a picture and its masks.

    Attributes:
        source: (height, width) of the picture that frames are made of: itself, or the padded one.
        view: what the first frame shows of that.
    """

    source: Size
    view: View

    @classmethod
    def of(cls, picture: Size, size: Size, how: Literal["crop", "pad"]) -> Framing:
        """Fit a picture to a clip.

        Args:
            picture: its (height, width).
            size: (height, width) of the clip.
            how: it is fitted, see `RunOptions`.

        Raises:
            MIVAError: there is no such way, or hardly anything of the picture would be left.
        """
        check_fit(how)
        if how == "crop":
            return cls(picture, View.of(picture, size))
        source = _padded(picture, size)
        return cls(source, View(size, (0, 0, *source)))

    def to_source(self, pixels: Tensor) -> Tensor:
        """Pad a picture (H, W, C), or a mask of it, to the source."""
        return pixels if pixels.shape[:2] == self.source else pad_to(pixels, self.source)

    def squashed(self, source: Tensor, size: Size) -> Tensor:
        """What the first frame shows of a source (H, W, C), a mask with C = 1, squashed to a (height, width)."""
        top, left, height, width = self.view.box
        return scale_picture(source[top : top + height, left : left + width], size)


def describe_framing(whole: Size, size: Size, how: Literal["crop", "pad"]) -> str:
    """Describe how a picture of a (height, width) is fitted to a clip, see `describe_fit`."""
    between = framed_size(whole, size) if how == "crop" else padded_size(whole, size)
    return describe_fit(whole, between, size, how)


def _padded(picture: Size, size: Size) -> Size:
    """The (height, width) that a picture is padded to, at the aspect of a clip and no coarser than that."""
    (h, w), (height, width) = picture, size
    scale = max(h / height, w / width)
    if scale > _FINEST:
        return _FINEST * height, _FINEST * width
    return size if scale < 1 else (max(h, round(w * height / width)), max(w, round(h * width / height)))
