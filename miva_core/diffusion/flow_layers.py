"""A flow that a model answers in layers, each of which it knows at any place and time."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class FlowLayers(Protocol):
    """The layers of a model's flow, of B clips.

    Lengths are in field units, off the middle of the frame, x to the right and y down. Times are in frames from 0, any
    real number. All maps are backward: from a place of a frame to the place of frame 1 that it shows, by the camera,
    then by depth, then by what displaces a region that stays where it is, or carries a subject along.
    """

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frame in field units."""
        ...

    def __getitem__(self, rows: slice) -> FlowLayers:
        """The layers of some of the clips."""
        ...

    def cpu(self) -> FlowLayers:
        """The same layers on the CPU, where frames are rendered."""
        ...

    def camera_maps(self, times: Tensor) -> Tensor:
        """(B, T, 2, 3) of the camera at times (T,)."""
        ...

    def depth_maps(self, times: Tensor, nearness: float | Tensor) -> Tensor:
        """(B, T, 2, 3) of what is so near, from 0 to 1, for all times (T,) or for each; the camera's come before."""
        ...

    def staying_displacement(self, places: Tensor, times: Tensor) -> Tensor:
        """Displacements (B, T, H, W, 2) within a region that stays where it is, at places (1, 1, H, W, 2)."""
        ...

    def carried_displacement(self, places: Tensor, times: Tensor) -> Tensor:
        """Displacements (B, T, H, W, 2) of a subject that is carried along, at places (1, 1, H, W, 2)."""
        ...

    def flow(self, times: Tensor | None = None) -> Tensor:
        """(B, T, 2, H, W) field units, x and y, of all layers, at the model's own size; None for the frames' times."""
        ...

    def residual_flow(self, times: Tensor) -> Tensor:
        """(B, T, 2, H, W) field units, x and y, what is left of the flow, at the model's own size."""
        ...

    def soft_mask(self, guide: Tensor | None = None) -> Tensor:
        """The mask (B, H, W) in [0, 1] of what stays.

        Args:
            guide: (B, H, W) what the model was guided by, at any size, so that edges are as sharp as there; None for
                the model's own.
        """
        ...

    def hard_mask(self, guide: Tensor | None = None) -> Tensor:
        """The mask of what is carried, as `soft_mask`."""
        ...

    def nearness(self, guide: Tensor | None = None) -> Tensor:
        """How near each place of frame 1 is, from 0 to 1, as `soft_mask`."""
        ...
