"""From a caption to the motions of the layers, by linear maps: twice the caption is twice the motion."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..caption_entries import CaptionEntries
from .motion_basis import FRAME_PLACES, REGION_PLACES, TIME_FUNCTIONS, WAVES, LayerMotion

SLOTS = ("camera", "subject", "shake")
"""What the vectors of a caption are about: the camera, which may go through the scene; a region or subject; a shake."""
_REACH = 2.5
"""Field units of displacement to a unit of the maps' output."""
_VELOCITY = ((0.03, 0.03, 1.0), (0.03, 0.03, 1.0))
"""Affine velocity to a unit of the maps' output: about as many units a frame at the frame's edge everywhere."""
_START = 0.002
"""Standard deviation of new maps."""


class Motions(NamedTuple):
    """How the layers of B clips move, see `LayeredFlow`."""

    camera: LayerMotion
    depth: Tensor
    staying: LayerMotion
    carried: LayerMotion


class CaptionLayers(nn.Module):
    """The motions that a caption asks for. There is no bias, so nothing moves under an empty caption.

    Each layer hears one half of one slot's vector: of the camera's, the first half moves the frame and the second one
    moves places by their nearness; of the subject's, the first half moves a region and the second one a subject that
    is carried. The first half of the shake's moves the frame, too. So no word can move a layer that is not its own.

    Args:
        dim: D of the caption's vectors, even.
    """

    velocity: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.camera = _LayerMap(dim // 2, FRAME_PLACES)
        self.depth = _linear(dim // 2, 6)
        self.staying = _LayerMap(dim // 2, REGION_PLACES + WAVES)
        self.carried = _LayerMap(dim // 2, REGION_PLACES)
        self.register_buffer("velocity", torch.tensor(_VELOCITY), persistent=False)

    def forward(self, caption: Tensor) -> Motions:
        """The motions for captions (B, K, 3, D), one for each clip or each of its frames."""
        (frame, through), (region, subject), (shake, _) = (part.chunk(2, -1) for part in caption.unbind(-2))
        return Motions(
            camera=self.camera(frame + shake, self.velocity),
            depth=self.depth(through).unflatten(-1, (2, 3)) * self.velocity,
            staying=self.staying(region, self.velocity),
            carried=self.carried(subject, self.velocity),
        )


def guided_entries(dim: int, device: torch.device | str = "cpu") -> CaptionEntries:
    """Which entries of captions move what a guide shows: the second half of the camera's slot, both of the subject's.

    Args:
        dim: D of the caption's vectors, even.
        device: where captions are.
    """
    camera, subject = (torch.tensor([name == slot for name in SLOTS], device=device)[:, None] for slot in SLOTS[:2])
    first = torch.arange(dim, device=device) < dim // 2
    return CaptionEntries(depth=camera & ~first, staying=subject & first, carried=subject & ~first)


class _LayerMap(nn.Module):
    """From vectors (B, K, D) to the motion of one layer, with this many functions of place."""

    def __init__(self, dim: int, places: int) -> None:
        super().__init__()
        self.generator = _linear(dim, 6)
        self.amplitude = _linear(dim, TIME_FUNCTIONS * 2 * places)

    def forward(self, vectors: Tensor, velocity: Tensor) -> LayerMotion:
        return LayerMotion(
            self.generator(vectors).unflatten(-1, (2, 3)) * velocity,
            self.amplitude(vectors).unflatten(-1, (TIME_FUNCTIONS, 2, -1)) * _REACH,
        )


def _linear(dim: int, out: int) -> nn.Linear:
    layer = nn.Linear(dim, out, bias=False)
    nn.init.normal_(layer.weight, std=_START)
    return layer
