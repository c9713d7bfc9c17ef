"""Looking for what phrases name, in one picture at a time."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from ..checks import is_count, is_number
from ..errors import MIVAError, MIVAWarning
from .detector import Candidates, Detector, NotFoundError
from .following import Parts
from .overlap import Overlap, check_overlap
from .segmenter import Segmenter

Missing = Literal["error", "empty"]


@dataclass(frozen=True)
class Search:
    """What is looked for, by which models; arguments as of `find_subjects`.

    Raises:
        MIVAError: an option is out of range.
    """

    phrases: Sequence[str]
    detector: Detector
    segmenter: Segmenter
    confidence: float
    per_subject: int
    missing: Missing
    overlap: Overlap

    def __post_init__(self) -> None:
        if not is_number(self.confidence) or not 0 <= self.confidence <= 1:
            raise MIVAError(f"The confidence is {self.confidence!r}: choose from 0 (everything) to 1 (nothing).")
        if not is_count(self.per_subject):
            raise MIVAError(f"A subject may have {self.per_subject!r} boxes at most: allow at least 1.")
        if self.missing not in get_args(Missing):
            raise MIVAError(f"The option missing is {self.missing!r}: choose 'error' or 'empty'.")
        check_overlap(self.overlap)

    def find(self, picture: Tensor) -> list[Candidates]:
        """The boxes of each phrase that are good enough; the picture is (H, W, 3) in [0, 1]."""
        return [one.above(self.confidence, self.per_subject) for one in self.detector(picture, self.phrases)]

    def cut_out(self, picture: Tensor, found: Sequence[Candidates]) -> tuple[Tensor, Parts]:
        """Logits (n, H, W) of what all boxes hold, and whose they are."""
        boxes = torch.cat([one.boxes for one in found])
        logits = self.segmenter(picture, boxes=boxes) if len(boxes) else torch.zeros(0, *picture.shape[:2])
        return logits, Parts([k for k, one in enumerate(found) for _ in one.boxes], len(found), self.overlap)

    def _best(self, one: Candidates) -> str:
        if one.best < self.confidence:
            return f"best score {one.best:.2f}"
        return f"best score {one.best:.2f}, where another phrase fits better"

    def check(self, found: Sequence[Candidates], where: str) -> None:
        """Tell which phrases were not found, and what was.

        Raises:
            NotFoundError: some were not, and `missing` is "error"; else a warning says so.
        """
        lost = [k for k, one in enumerate(found) if not len(one.boxes)]
        if not lost:
            return
        told = " and no ".join(f"{self.phrases[k]!r} ({self._best(found[k])})" for k in lost)
        there = [f"{self.phrases[k]!r} {one.scores[0]:.2f}" for k, one in enumerate(found) if len(one.boxes)]
        message = (
            f"No {told} was found in {where} at confidence {self.confidence:.2f}. Lower the confidence, use a plainer "
            "word, or take a picture or frame where the subject is visible."
        )
        message += f" Found: {', '.join(there)}." if there else ""
        if self.missing == "error":
            raise NotFoundError(message)
        warnings.warn(f"{message} Its mask is empty.", MIVAWarning, stacklevel=4)
