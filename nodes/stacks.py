"""Motions in a stack, as they travel from Load MIVA to who makes a clip."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from ..miva_core.errors import MIVAError
from .kept_adapters import FileNow

if TYPE_CHECKING:
    from ..miva_core.adapters.adapter import MIVAAdapter
    from ..miva_core.adapters.info import AdapterInfo
    from ..miva_core.animation.motion import Motion
    from ..miva_core.animation.said import Said
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
        words: which of the motions in its file, in words that its base knows; empty without any.
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
    def name(self) -> str:
        """What messages call it."""
        return self.path.stem

    @property
    def takes_mask(self) -> bool:
        """Whether a mask says where it acts."""
        return self.info.config.takes_mask

    @property
    def subject(self) -> str:
        """What its subject is, in a word; empty where its file does not say it."""
        return self.info.subject

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

        words, mask = self.words or self.text, mask_for(self.mask, picture)
        return Motion(adapter, self.strength, mask, self.name, self.span, degree=self.degree, words=words)


@dataclass(frozen=True)
class StackedWords:
    """A motion that is said to the base.

    Attributes:
        said: what is said, without a mask.
        mask: as of `StackedMiva`, for words that move a part of the picture.
    """

    said: "Said"
    mask: Tensor | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.said.label

    @property
    def takes_mask(self) -> bool:
        """Whether a mask says where it acts: the base knows of which words that is so."""
        return True

    @property
    def subject(self) -> str:
        """Words do not say what their subject is."""
        return ""

    def motion(self, picture: int) -> "Said":
        """Make the motion of a run.

        Args:
            picture: which of a batch it is to move, from 0.
        """
        return replace(self.said, mask=mask_for(self.mask, picture))


MivaStack = tuple[StackedMiva | StackedWords, ...]
"""MIVA_STACK: in the order of depth, the last one on top."""


def files_in(stack: MivaStack) -> tuple[StackedMiva, ...]:
    """The motions of a stack that come from files."""
    return tuple(entry for entry in stack if isinstance(entry, StackedMiva))


def words_in(stack: MivaStack) -> tuple[StackedWords, ...]:
    """The motions of a stack that are said to the base."""
    return tuple(entry for entry in stack if isinstance(entry, StackedWords))


def motions_of(stack: MivaStack, adapters: "Sequence[MIVAAdapter]", picture: int) -> "list[Motion | Said]":
    """Make the motions of a run.

    Args:
        stack: of it.
        adapters: of its files, in the same order.
        picture: which of a batch they are to move, from 0.
    """
    loaded = iter(adapters)
    return [
        entry.motion(next(loaded), picture) if isinstance(entry, StackedMiva) else entry.motion(picture)
        for entry in stack
    ]


def mask_for(masks: Tensor | None, picture: int) -> Tensor | None:
    """Choose the mask (H, W) of a picture, from 0, out of (N, H, W), which may be one for all."""
    return None if masks is None else masks[picture % len(masks)]


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
