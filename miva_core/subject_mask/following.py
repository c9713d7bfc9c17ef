"""From what is seen in the key frame of a clip to masks in all its frames."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import MIVAWarning
from .overlap import Overlap, resolve
from .segmenter import Segmenter

Tell = Callable[[int, int], None]
"""Called as (done, total) with numbers of frames; what it raises ends the work."""

_MUCH = 2e9
"""Bytes from which a clip's need is told before it starts."""


class Counter:
    """Tells how many frames are done."""

    def __init__(self, tell: Tell | None, total: int) -> None:
        self._tell, self._total, self._done = tell, total, 0

    def one_more(self) -> None:
        self._done += 1
        if self._tell:
            self._tell(self._done, self._total)


@dataclass(frozen=True)
class Parts:
    """Which of so many subjects each of n things is a part of, and the rule for places that several claim."""

    of: Sequence[int]
    subjects: int
    overlap: Overlap

    def masks(self, logits: Tensor) -> Tensor:
        """Masks (subjects, H, W) bool from logits (n, H, W) of the things."""
        nothing = torch.full(logits.shape[1:], -torch.inf)
        own = [[logits[k] for k, owner in enumerate(self.of) if owner == subject] for subject in range(self.subjects)]
        return resolve(torch.stack([torch.stack(things or [nothing]).amax(0) for things in own]), self.overlap)

    def only(self, kept: Tensor) -> "Parts":
        """Of the things that are kept (n,) alone."""
        return replace(self, of=[owner for owner, there in zip(self.of, kept.tolist(), strict=True) if there])


def follow(frames: Tensor, key: Tensor, parts: Parts, key_frame: int, segmenter: Segmenter, count: Counter) -> Tensor:
    """Masks (subjects, F, H, W) bool, from logits (n, H, W) in the key frame."""
    masks = torch.zeros(parts.subjects, *frames.shape[:3], dtype=torch.bool)
    masks[:, key_frame] = parts.masks(key)
    count.one_more()
    seen = (key > 0).flatten(1).any(1)
    tracked_parts = parts.only(seen)
    # Backwards is forwards through the clip turned round.
    for order in (range(key_frame, len(frames)), range(key_frame, -1, -1)):
        if len(order) == 1 or not seen.any():
            continue
        tracked = segmenter.track([frames[k] for k in order], key[seen] > 0)
        for frame, logits in zip(order[1:], tracked, strict=True):
            masks[:, frame] = tracked_parts.masks(logits)
            count.one_more()
    return masks


def tell_lost(masks: Tensor, names: Sequence[str], key_frame: int) -> None:
    """Warn of subjects whose mask is empty, or who are gone by the end or the beginning of a clip."""
    there = masks.flatten(2).any(2)
    for name, seen in zip(names, there.tolist(), strict=True):
        if not seen[key_frame]:
            text = f"The mask of {name!r} is empty in frame {key_frame}: SAM 2 saw nothing there; point elsewhere."
            warnings.warn(text, MIVAWarning, stacklevel=4)
            continue
        last, first = max(k for k, yes in enumerate(seen) if yes), seen.index(True)
        if last < len(seen) - 1:
            text = f"{name!r} is lost from frame {last + 1} on (its mask is empty)."
            warnings.warn(text, MIVAWarning, stacklevel=4)
        if first > 0:
            text = f"{name!r} is lost up to frame {first - 1} (its mask is empty)."
            warnings.warn(text, MIVAWarning, stacklevel=4)


def tell_memory(frames: Tensor, subjects: int) -> None:
    """Warn of a clip whose masks, bool and then float32, need much memory; what else is kept does not grow with it."""
    need = frames[..., 0].numel() * subjects * 5
    if need > _MUCH:
        text = f"Tracking {len(frames)} frames x {subjects} subjects needs about {need / 1e9:.1f} GB of RAM; "
        warnings.warn(f"{text}shorten the clip or scale it down.", MIVAWarning, stacklevel=3)
