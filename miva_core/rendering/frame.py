"""A frame of a clip, with what is known of it."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class SceneFrame:
    """A frame of a clip.

    Attributes:
        pixels: (H, W, 3) float32 in [0, 1].
        masks: (H, W) in [0, 1] by the name of the subject: what is seen of it.
    """

    pixels: Tensor
    masks: dict[str, Tensor]
