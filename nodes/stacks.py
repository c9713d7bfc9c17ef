"""Motions in a stack, as they travel from Load MIVA to who makes a clip."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from ..miva_core.errors import MIVAError
from .kept_adapters import FileNow

if TYPE_CHECKING:
    from ..miva_core.adapters.adapter import MIVAAdapter
    from ..miva_core.adapters.info import AdapterInfo
    from ..miva_core.animation.motion import Motion
    from ..miva_core.attention.strength import Level, Strength


@dataclass(frozen=True)
class StackedMiva:
    """A motion whose adapter is not loaded yet: nothing of its file but the header is read.

    Attributes:
        path: the file.
        stamp: its time of change in nanoseconds and its size, see `stamp_of`.
        info: its header.
        strength: how strongly it acts, for all its parts or one by one.
        span: shares of the run's steps in which it acts, see `Injection.set_spans`.
        mask: (N, H, W) in [0, 1], where its subject is in each of N pictures, or in all where N is 1; for masked
            adapters alone.
        degree: how fast it is of what its file knows, from 0 to 1; None is as it was trained.
        words: which of the motions in its file, in words of the built-in base; empty without any.
        text: (words, d_text) the same as the text encoder of another model has it.
    """

    path: Path
    stamp: tuple[int, int]
    info: "AdapterInfo"
    strength: "Level | Strength" = 1.0
    span: tuple[float, float] = (0.0, 1.0)
    mask: Tensor | None = field(default=None, compare=False)
    degree: float | None = None
    words: str = ""
    text: Tensor | None = field(default=None, compare=False)

    @property
    def file_now(self) -> FileNow:
        """The file as it is now.

        Raises:
            MIVAError: it is gone.
        """
        return self.path, stamp_of(self.path)

    def motion(self, adapter: "MIVAAdapter", picture: int) -> "Motion":
        """Make the motion of a run, under the name of its file.

        Args:
            adapter: that of the file.
            picture: which of a batch it is to move, from 0.
        """
        from ..miva_core.animation.motion import Motion

        mask = None if self.mask is None else self.mask[picture % len(self.mask)]
        words, name = self.words or self.text, self.path.stem
        return Motion(adapter, self.strength, mask, name, self.span, degree=self.degree, words=words)


MivaStack = tuple[StackedMiva, ...]
"""MIVA_STACK: in the order of depth, the last one on top."""


def stamp_of(path: Path) -> tuple[int, int]:
    """Read what distinguishes a file from the one that stood there before.

    Args:
        path: the file.

    Returns:
        Its time of change in nanoseconds, and its size.

    Raises:
        MIVAError: it is gone.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise MIVAError(
            f"The file {path.name} is gone from {path.parent}: put it back, or choose another one."
        ) from error
    return found.st_mtime_ns, found.st_size
