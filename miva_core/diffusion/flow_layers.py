"""A flow that a model answers in layers, each of which it knows at any place and time."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor


class LayerMasks(NamedTuple):
    """Where in frame 1 layers are, each (B, H, W) in [0, 1].

    Attributes:
        nearness: how near each place is to the camera, 1 being the nearest.
        staying: how much of the staying layer's displacement acts.
        carried: where the layer is that is carried along.
    """

    nearness: Tensor
    staying: Tensor
    carried: Tensor


class FlowLayers(Protocol):
    """The layers of a model's flow, of B clips.

    Lengths are in field units, off the middle of the frame, x to the right and y down: as many pixels of the size that
    the model works at. Times are in frames from 0, any real number. All maps are backward: from a place of a frame to
    the place whose content it shows. A frame shows at p the place q + M(q) u(q) of frame 1, for q = parallax(camera(p))
    and a displacement u of the staying layer of the mask M; over that stands the carried layer, q + u(q) within its own
    mask.
    """

    @property
    def grid(self) -> tuple[int, int]:
        """(height, width) of the frame in field units."""
        ...

    @property
    def is_finite(self) -> bool:
        """Whether none of it is NaN or infinite."""
        ...

    @property
    def residual(self) -> Tensor:
        """(B, F, 2, h, w) field units, x and y, what is left at the frames' times; added to the flow of the ground."""
        ...

    def __getitem__(self, rows: slice) -> FlowLayers:
        """The layers of some of the clips."""
        ...

    def camera(self, time: float) -> Tensor:
        """(B, 2, 3) of the camera at a time."""
        ...

    def parallax(self, time: float, nearness: float) -> Tensor:
        """(B, 2, 3) of what is so near, at a time; the camera comes before it."""
        ...

    def staying(self, places: Tensor, time: float) -> Tensor:
        """Displacements (B, …, 2) of the layer that stays where it is, at places (…, 2)."""
        ...

    def carried(self, places: Tensor, time: float) -> Tensor:
        """Displacements (B, …, 2) of the layer that is carried along, at places (…, 2)."""
        ...

    def masks(self, size: tuple[int, int], guide: Tensor | None = None) -> LayerMasks:
        """Where layers are, at any size.

        Args:
            size: (height, width) to give them at; they cover the frame.
            guide: (B, height, width), what the model was guided by, at that size, so that edges are as sharp as there.
                None for the guide that it was given.
        """
        ...
