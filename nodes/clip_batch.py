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
        clips: how many there will be.
        length: frames of each.
        size: (height, width) of each.
        rendered: whether they are made frame by frame, rather than painted as a whole.

    Raises:
        MIVAError: all clips together are larger than the memory.
    """

    def __init__(self, clips: int, length: int, size: tuple[int, int], rendered: bool) -> None:
        self._shape, self._filled = (clips * length, *size), 0
        # A single painted clip is in memory as it is.
        self._taken_whole = clips == 1 and not rendered
        self.frames = self.masks = torch.empty(0)
        shorter = "a shorter `duration`, a lower `fps`" if rendered else "fewer `frames`"
        check_memory(self._shape, f"choose {shorter}, a smaller `width`, or fewer pictures")

    def add(self, clip: "Clip", on_frame: Callable[[int], None]) -> None:
        """Render a clip behind those that are there.

        Args:
            clip: it; masks of several subjects become one.
            on_frame: called after each frame with the number of frames that this clip has so far.
        """
        if not self._filled:
            room = clip.frames if self._taken_whole else torch.empty(*self._shape, 3)
            self.frames = comfy_bridge.to_intermediate(room)
            self.masks = comfy_bridge.to_intermediate(torch.zeros(self._shape))
        for number, frame in enumerate(clip, start=1):
            if not self._taken_whole:
                self.frames[self._filled] = frame.pixels
            for mask in frame.masks.values():
                torch.maximum(self.masks[self._filled], mask.to(self.masks), out=self.masks[self._filled])
            self._filled += 1
            on_frame(number)


def check_memory(shape: tuple[int, int, int], advice: str) -> None:
    """Refuse clips (F, H, W) that are larger than the memory; the advice is how they become smaller."""
    needed, free = _BYTES * shape[0] * shape[1] * shape[2], comfy_bridge.free_intermediate_memory()
    if needed > free:
        raise MIVAError(
            f"{shape[0]} frames of {format_size(shape[1:])} take {needed / _GIGA:.3g} GB, and {free / _GIGA:.3g} GB of "
            f"memory are free: {advice}."
        )
