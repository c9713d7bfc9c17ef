"""Frames that can be asked for one by one, whether they are in memory or made then."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from ..rendering.frame import SceneFrame


class FrameSource(Protocol):
    """Frames that can be asked for one by one: a `Scene`, which renders them, or `StoredFrames`."""

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frames."""
        ...

    def __len__(self) -> int: ...

    def frame(self, i: int) -> SceneFrame:
        """Make a frame, or give one that is there.

        Args:
            i: from 0 to the length - 1.

        Returns:
            Its pixels (H, W, 3), and the masks (H, W) of its subjects.
        """
        ...


@dataclass(frozen=True, eq=False)
class StoredFrames:
    """Frames that are in memory.

    Attributes:
        frames: (F, H, W, 3) in [0, 1].
        masks: (F, H, W) in [0, 1] by the name of the motion.
    """

    frames: Tensor
    masks: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, source: FrameSource) -> StoredFrames:
        """All frames of a source; those of a source that is in memory are not copied."""
        if isinstance(source, cls):
            return source
        stored = cls(torch.empty(len(source), *source.size, 3))
        for i in range(len(source)):
            frame = source.frame(i)
            stored.frames[i] = frame.pixels
            for name, mask in frame.masks.items():
                stored.masks.setdefault(name, torch.empty(stored.frames.shape[:3]))[i] = mask
        return stored

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the frames."""
        return self.frames.shape[1], self.frames.shape[2]

    def __len__(self) -> int:
        return len(self.frames)

    def frame(self, i: int) -> SceneFrame:
        """Frame i, from 0, with the masks of its subjects."""
        return SceneFrame(self.frames[i], {name: mask[i] for name, mask in self.masks.items()})
