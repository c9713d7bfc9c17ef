"""What a base is shown of a picture."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


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
