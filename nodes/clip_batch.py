"""The clips of a batch of pictures, one after the other, as one IMAGE and one MASK."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from ..miva_core.errors import MIVAError
from ..miva_core.media.pictures import format_size
from . import comfy_bridge

if TYPE_CHECKING:
    from ..miva_core.animation.clip import Clip

_BYTES = 4 * (3 + 1)
"""Of a pixel, in float32: its colours and its mask."""
_GIGA = 10**9


class ClipBatch:
    """Room for all clips, which is made when the first is there; each frame is put there as it is rendered.

    Joining clips would need twice their memory.

    Args:
        clips: how many there will be; all have the length and size of the first.
    """

    def __init__(self, clips: int) -> None:
        self._clips, self._filled = clips, 0
        self.frames = self.masks = torch.empty(0)

    def add(self, clip: "Clip", on_frame: Callable[[int], None]) -> None:
        """Render a clip behind those that are there.

        Args:
            clip: it; masks of several subjects become one.
            on_frame: called after each frame with the number of frames that this clip has so far.

        Raises:
            MIVAError: all clips together are larger than the memory.
        """
        if not self._filled:
            self._make_room(len(clip), clip.size)
        for number, frame in enumerate(clip, start=1):
            self.frames[self._filled] = frame.pixels
            for mask in frame.masks.values():
                torch.maximum(self.masks[self._filled], mask.to(self.masks), out=self.masks[self._filled])
            self._filled += 1
            on_frame(number)

    def _make_room(self, length: int, size: tuple[int, int]) -> None:
        shape = (self._clips * length, *size)
        needed, free = _BYTES * shape[0] * shape[1] * shape[2], comfy_bridge.free_intermediate_memory()
        if needed > free:
            raise MIVAError(
                f"{shape[0]} frames of {format_size(size)} take {needed / _GIGA:.3g} GB, and {free / _GIGA:.3g} GB of "
                "memory are free: choose a shorter `duration`, a lower `fps`, a smaller `width`, or fewer pictures."
            )
        self.frames = comfy_bridge.to_intermediate(torch.empty(*shape, 3))
        self.masks = comfy_bridge.to_intermediate(torch.zeros(shape))
