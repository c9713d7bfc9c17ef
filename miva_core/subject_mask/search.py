"""Find and segment what phrases name, in one picture at a time."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from ..checks import is_count, is_number
from ..errors import MIVAError, MIVAWarning
from .detector import Candidates, Detector, NotFoundError
from .following import ObjectGroups
from .overlap import Overlap, check_overlap
from .segmenter import Segmenter

Missing = Literal["error", "empty"]


@dataclass(frozen=True)
class SearchOptions:
    """Which of the boxes that a detector finds become subjects.

    Attributes:
        confidence: score in [0, 1] below which boxes are not taken.
        per_subject: largest number of boxes of a phrase; its mask covers them all.
        missing: "error", or "empty" to give a subject that is not found an empty mask.
        overlap: what becomes of places that several subjects claim, see `resolve`.

    Raises:
        MIVAError: an option is out of range.
    """

    confidence: float = 0.3
    per_subject: int = 1
    missing: Missing = "error"
    overlap: Overlap = "keep"

    def __post_init__(self) -> None:
        if not is_number(self.confidence) or not 0 <= self.confidence <= 1:
            raise MIVAError(f"The confidence is {self.confidence!r}: choose from 0 (everything) to 1 (nothing).")
        if not is_count(self.per_subject):
            raise MIVAError(f"A subject may have {self.per_subject!r} boxes at most: allow at least 1.")
        if self.missing not in get_args(Missing):
            raise MIVAError(f"The option missing is {self.missing!r}: choose 'error' or 'empty'.")
        check_overlap(self.overlap)


@dataclass(frozen=True)
class Search:
    """What is looked for, by which models.

    Attributes:
        phrases: one for each subject, see `split_prompt`.
        detector: finds boxes of what phrases name.
        segmenter: makes masks of boxes.
        options: which boxes are taken.
    """

    phrases: Sequence[str]
    detector: Detector
    segmenter: Segmenter
    options: SearchOptions

    def find(self, picture: Tensor) -> list[Candidates]:
        """Find boxes for each phrase in a picture (H, W, 3) in [0, 1]: those that score high enough."""
        return [
            one.top(self.options.per_subject, self.options.confidence) for one in self.detector(picture, self.phrases)
        ]

    def segment(self, picture: Tensor, found: Sequence[Candidates]) -> tuple[Tensor, ObjectGroups]:
        """Segment the objects in all boxes.

        Args:
            picture: (H, W, 3) in [0, 1].
            found: the boxes of each phrase.

        Returns:
            Logits (n, H, W) of the objects, and to which phrases these belong.
        """
        boxes = torch.cat([one.boxes for one in found])
        logits = self.segmenter(picture, boxes=boxes) if len(boxes) else torch.zeros(0, *picture.shape[:2])
        owners = [k for k, one in enumerate(found) for _ in one.boxes]
        return logits, ObjectGroups(owners, len(found), self.options.overlap)

    def _describe_best(self, one: Candidates) -> str:
        if one.best_score < self.options.confidence:
            return f"best score {one.best_score:.2f}"
        return f"best score {one.best_score:.2f}, where another phrase fits better"

    def check(self, found: Sequence[Candidates], where: str) -> None:
        """Check that all phrases were found; if `missing` is "empty", warn of those that were not.

        Args:
            found: the boxes of each phrase.
            where: in what they were looked for, for the message.

        Raises:
            NotFoundError: some were not found, and `missing` is "error".
        """
        absent = [k for k, one in enumerate(found) if not len(one.boxes)]
        if not absent:
            return
        names = " and no ".join(f"{self.phrases[k]!r} ({self._describe_best(found[k])})" for k in absent)
        present = [f"{self.phrases[k]!r} {one.scores[0]:.2f}" for k, one in enumerate(found) if len(one.boxes)]
        message = (
            f"No {names} was found in {where} at confidence {self.options.confidence:.2f}. Lower the confidence, use a "
            "plainer word, or take a picture or frame where the subject is visible."
        )
        message += f" Found: {', '.join(present)}." if present else ""
        if self.options.missing == "error":
            raise NotFoundError(message)
        warnings.warn(f"{message} Its mask is empty.", MIVAWarning, stacklevel=4)
