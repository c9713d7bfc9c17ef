"""What a run is made for: what its base is shown, and how frames are made of what that answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor

from ..diffusion.loop import Sampled
from .conditioning import Conditioning
from .frame_source import FrameSource
from .rows import Row


class Output(Protocol):
    """A way from a picture to the frames of a clip, with a base in between.

    Its length is that of the clip, or of each of its segments.
    """

    @property
    def conditioning(self) -> Conditioning:
        """What the base is given."""
        ...

    @property
    def fitting(self) -> str:
        """See `Clip`."""
        ...

    @property
    def fps(self) -> float:
        """See `Clip`."""
        ...

    def __len__(self) -> int: ...

    def part(self, rows: Sequence[Row]) -> Output:
        """The same for some of the clips that the base makes.

        Args:
            rows: of one batch.
        """
        ...

    def render(self, sampled: Sampled, masks: Mapping[str, Tensor]) -> tuple[FrameSource, Sequence[str]]:
        """Make the frames of a clip.

        Args:
            sampled: one clip as its run ended, each of its segments in a row.
            masks: (F, H, W) in [0, 1] by name, the mask sequences that were denoised beside it, from end to end.

        Returns:
            The frames, and what is odd about them, in sentences.

        Raises:
            MIVAError: they cannot be as they were asked for.
        """
        ...

    def preview(self, sampled: Sampled, frame: int) -> Tensor:
        """One frame (H, W, 3) in [0, 1] of a clip as it is predicted on the way; it may be smaller than the clip."""
        ...
