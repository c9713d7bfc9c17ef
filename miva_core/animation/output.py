"""What a run is made for: what its base is shown, and how frames are made of what that answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ..diffusion.loop import Sampled
from .frame_source import FrameSource


@dataclass(frozen=True, eq=False)
class Conditioning:
    """What a base is given to go on from.

    Attributes:
        picture: (h, w, 3) in [0, 1], frame 1, of the size that it denoises.
        masks: (h, w) in [0, 1], of frame 1, by the name of the motion.
        frames: the length that it denoises.
        nearness: (h, w) in [0, 1], of frame 1, where a depth map is given.
    """

    picture: Tensor
    masks: Mapping[str, Tensor]
    frames: int
    nearness: Tensor | None = None


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
