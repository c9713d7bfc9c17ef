"""Follow subjects from the key frame of a clip through all its frames, and warn of those that are lost."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import MIVAWarning
from .overlap import Overlap, resolve
from .segmenter import Segmenter

OnProgress = Callable[[int, int], None]
"""Called as (done, total) with numbers of frames; what it raises ends the work."""

_LARGE_CLIP = 2e9
"""Bytes of memory from which the need of a clip is warned of before it starts."""


class FrameProgress:
    """Counts frames that are done, and reports them."""

    def __init__(self, on_progress: OnProgress | None, total: int) -> None:
        self._on_progress, self._total, self._done = on_progress, total, 0

    def step(self) -> None:
        """Report one more frame."""
        self._done += 1
        if self._on_progress:
            self._on_progress(self._done, self._total)


@dataclass(frozen=True)
class ObjectGroups:
    """Which subject each segmented object belongs to: a subject of several boxes has several objects.

    Attributes:
        owners: the index of the subject of each of n objects.
        subjects: number of subjects.
        overlap: the rule for pixels that several subjects claim, see `resolve`.
    """

    owners: Sequence[int]
    subjects: int
    overlap: Overlap

    def masks(self, logits: Tensor) -> Tensor:
        """Join the logits (n, H, W) of objects to masks (subjects, H, W) bool."""
        nothing = torch.full(logits.shape[1:], -torch.inf)
        of_subjects: list[list[Tensor]] = [[] for _ in range(self.subjects)]
        for owner, one in zip(self.owners, logits, strict=True):
            of_subjects[owner].append(one)
        joined = [torch.stack(objects or [nothing]).amax(0) for objects in of_subjects]
        return resolve(torch.stack(joined), self.overlap)

    def select(self, selected: Tensor) -> "ObjectGroups":
        """Leave out the objects that are not selected, (n,) bool."""
        return replace(self, owners=[owner for owner, yes in zip(self.owners, selected.tolist(), strict=True) if yes])


def follow(
    frames: Tensor, key: Tensor, groups: ObjectGroups, key_frame: int, segmenter: Segmenter, progress: FrameProgress
) -> Tensor:
    """Follow subjects from the key frame to both ends of a clip.

    Args:
        frames: (F, H, W, 3) in [0, 1].
        key: logits (n, H, W) of the objects in the key frame.
        groups: which objects make up which subject.
        key_frame: its index.
        segmenter: tracks the objects.
        progress: counts the frames that are done.

    Returns:
        Masks (subjects, F, H, W) bool.
    """
    masks = torch.zeros(groups.subjects, *frames.shape[:3], dtype=torch.bool)
    masks[:, key_frame] = groups.masks(key)
    progress.step()
    visible = (key > 0).flatten(1).any(1)
    tracked_groups = groups.select(visible)
    # Backwards is forwards through the reversed clip.
    for order in (range(key_frame, len(frames)), range(key_frame, -1, -1)):
        if len(order) == 1 or not visible.any():
            continue
        tracked = segmenter.track([frames[k] for k in order], key[visible] > 0)
        for frame, logits in zip(order[1:], tracked, strict=True):
            masks[:, frame] = tracked_groups.masks(logits)
            progress.step()
    return masks


def warn_lost(masks: Tensor, names: Sequence[str], key_frame: int) -> None:
    """Warn of subjects whose mask is empty in the key frame, or at the end or the beginning of a clip.

    Args:
        masks: (subjects, F, H, W).
        names: of the subjects.
        key_frame: its index.
    """
    visible = masks.flatten(2).any(2)
    for name, in_frames in zip(names, visible.tolist(), strict=True):
        if not in_frames[key_frame]:
            text = f"The mask of {name!r} is empty in frame {key_frame}: SAM 2 saw nothing there; point elsewhere."
            warnings.warn(text, MIVAWarning, stacklevel=4)
            continue
        last, first = max(k for k, yes in enumerate(in_frames) if yes), in_frames.index(True)
        if last < len(in_frames) - 1:
            text = f"{name!r} is lost from frame {last + 1} on (its mask is empty)."
            warnings.warn(text, MIVAWarning, stacklevel=4)
        if first > 0:
            text = f"{name!r} is lost up to frame {first - 1} (its mask is empty)."
            warnings.warn(text, MIVAWarning, stacklevel=4)


def warn_memory(frames: Tensor, subjects: int) -> None:
    """Warn of a clip whose masks, first bool and then float32, need more than 2 GB; nothing else grows with the clip.

    Args:
        frames: (F, H, W, 3).
        subjects: their number.
    """
    need = frames[..., 0].numel() * subjects * 5
    if need > _LARGE_CLIP:
        text = f"Tracking {len(frames)} frames x {subjects} subjects needs about {need / 1e9:.1f} GB of RAM; "
        warnings.warn(f"{text}shorten the clip or scale it down.", MIVAWarning, stacklevel=3)
