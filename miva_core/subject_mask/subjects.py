"""From words, boxes, points or rough masks to one mask for each subject and frame."""

import warnings
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torchvision.ops import masks_to_boxes

from ..errors import MIVAError, MIVAWarning
from .detector import Candidates, Detector
from .following import Counter, Parts, Tell, follow, tell_lost, tell_memory
from .images import check_images
from .overlap import Overlap, check_overlap
from .pointing import check_boxes, check_key_frame, check_points, check_rough
from .prompt import split_prompt
from .search import Missing, Search
from .segmenter import Point, Segmenter

Mode = Literal["track", "every frame"]
_TOLD_FRAMES = 10


class Subjects(NamedTuple):
    """What was found.

    Attributes:
        masks: (subjects, F, H, W) float32, 1 on the subject and 0 beside it.
        boxes: for each subject and frame (n, 4) corners x0, y0, x1, y1 in pixels; None where the subject was tracked.
        labels: the phrases, in the order of the prompt.
        scores: like `boxes`, (n,) in [0, 1].
    """

    masks: Tensor
    boxes: list[list[Tensor | None]]
    labels: list[str]
    scores: list[list[Tensor | None]]


def pointed_at(masks: Tensor) -> Subjects:
    """Masks (subjects, F, H, W) of subjects that have numbers for names, and no boxes."""
    none: list[list[Tensor | None]] = [[None] * masks.shape[1] for _ in masks]
    return Subjects(masks, none, [f"subject {k + 1}" for k in range(len(masks))], none)


def find_subjects(
    images: Tensor,
    prompt: str,
    detector: Detector,
    segmenter: Segmenter,
    *,
    confidence: float = 0.3,
    per_subject: int = 1,
    mode: Mode = "track",
    key_frame: int = 0,
    missing: Missing = "error",
    overlap: Overlap = "keep",
    tell: Tell | None = None,
) -> Subjects:
    """One mask for each phrase of a prompt, in a picture or in every frame of a clip.

    Args:
        images: (F, H, W, C) float in [0, 1]; see `check_images`.
        prompt: "horse. rider."; see `split_prompt`.
        confidence: in [0, 1]; boxes that score less are not taken.
        per_subject: how many boxes a phrase may have at most; its mask covers them all.
        mode: "track" finds the subjects in the key frame and follows them both ways; "every frame" finds them anew in
            each frame, which suits pictures that are no clip.
        key_frame: index of a frame in which all subjects are seen well.
        missing: "error", or "empty" to give a subject that is not found an empty mask.
        overlap: see `resolve`.
        tell: called as (done, total) with numbers of frames; what it raises ends the work.

    Raises:
        MIVAError: bad images or prompt, a subject is not found, an option is out of range, or the key frame is outside
            the clip.
    """
    frames = check_images(images)
    search = Search(split_prompt(prompt), detector, segmenter, confidence, per_subject, missing, overlap)
    if mode not in get_args(Mode):
        raise MIVAError(f"The option mode is {mode!r}: choose 'track' or 'every frame'.")
    check_key_frame(key_frame, len(frames))
    tell_memory(frames, len(search.phrases))
    count = Counter(tell, len(frames))
    return (
        _in_every_frame(frames, search, count) if mode == "every frame" else _from_key(frames, search, key_frame, count)
    )


def _from_key(frames: Tensor, search: Search, key_frame: int, count: Counter) -> Subjects:
    found = search.find(frames[key_frame])
    search.check(found, f"frame {key_frame}")
    key, parts = search.cut_out(frames[key_frame], found)
    masks = follow(frames, key, parts, key_frame, search.segmenter, count)
    there = [k for k, one in enumerate(found) if len(one.boxes)]
    tell_lost(masks[there], [search.phrases[k] for k in there], key_frame)
    here = [[one if k == key_frame else None for k in range(len(frames))] for one in found]
    return _subjects(masks.float(), here, search.phrases)


def _in_every_frame(frames: Tensor, search: Search, count: Counter) -> Subjects:
    masks = torch.zeros(len(search.phrases), *frames.shape[:3])
    by_frame = []
    for k, picture in enumerate(frames):
        by_frame.append(search.find(picture))
        logits, parts = search.cut_out(picture, by_frame[-1])
        masks[:, k] = parts.masks(logits).float()
        count.one_more()
    by_subject = list(zip(*by_frame, strict=True))
    best = [max(of_subject, key=lambda one: (len(one.boxes) > 0, one.best)) for of_subject in by_subject]
    search.check(best, "any frame" if len(frames) > 1 else "frame 0")
    for phrase, of_subject in zip(search.phrases, by_subject, strict=True):
        _tell_gaps(phrase, [k for k, one in enumerate(of_subject) if not len(one.boxes)], len(frames))
    return _subjects(masks, by_subject, search.phrases)


def _tell_gaps(phrase: str, without: Sequence[int], frames: int) -> None:
    """Warn of a phrase that was found in some frames only."""
    if not 0 < len(without) < frames:
        return
    told = f"{', '.join(map(str, without[:_TOLD_FRAMES]))}{' …' * (len(without) > _TOLD_FRAMES)}"
    text = f"No {phrase!r} was found in frame{'s' * (len(without) > 1)} {told}: its mask is empty there."
    warnings.warn(text, MIVAWarning, stacklevel=4)


def _subjects(masks: Tensor, found: Sequence[Sequence[Candidates | None]], phrases: Sequence[str]) -> Subjects:
    """Masks with the boxes and scores of each subject and frame, None where it was not looked for."""
    boxes = [[one.boxes if one else None for one in of_subject] for of_subject in found]
    scores = [[one.scores if one else None for one in of_subject] for of_subject in found]
    return Subjects(masks, boxes, list(phrases), scores)


def segment(
    images: Tensor,
    segmenter: Segmenter,
    *,
    boxes: Tensor | Sequence[Sequence[float]] | None = None,
    points: Sequence[Sequence[Point]] | None = None,
    rough: Tensor | None = None,
    key_frame: int = 0,
    overlap: Overlap = "keep",
    tell: Tell | None = None,
) -> Tensor:
    """Masks of subjects that are pointed at, in a picture or, followed both ways from a key frame, in a clip.

    At least one of boxes, points and rough masks is given, and all that are given are of the same subjects in the
    same order.

    Args:
        images: as in `find_subjects`.
        boxes: for each subject corners x0, y0, x1, y1 in pixels of the key frame.
        points: for each subject (x, y, label), label 1 on it and 0 beside it.
        rough: (subjects, H, W) or (H, W) in [0, 1]; more than 0.5 is the subject.
        key_frame, overlap, tell: as in `find_subjects`.

    Returns:
        (subjects, F, H, W) float32 of 0 and 1.

    Raises:
        MIVAError: bad images, boxes, points or masks, or the key frame is outside the clip.
    """
    frames = check_images(images)
    check_overlap(overlap)
    check_key_frame(key_frame, len(frames))
    size = tuple(frames.shape[1:3])
    given: dict[str, Any] = {}
    if boxes is not None:
        given["boxes"] = check_boxes(boxes, size)
    if points is not None:
        given["points"] = check_points(points, size)
    if rough is not None:
        given["rough"] = check_rough(rough, size)
        # A rough mask alone leaves SAM 2 unsure of how much is meant.
        given.setdefault("boxes", masks_to_boxes(given["rough"] > 0.5) + torch.tensor([0, 0, 1, 1]))
    counts = {len(value) for value in given.values()}
    if len(counts) != 1:
        told = " and ".join(f"{len(value)} {name}" for name, value in given.items()) or "none of them"
        raise MIVAError(f"Expected boxes, points or rough masks, of as many subjects each, but got {told}.")
    (subjects,) = counts
    tell_memory(frames, subjects)
    logits = segmenter(frames[key_frame], **given)
    parts = Parts(range(subjects), subjects, overlap)
    masks = follow(frames, logits, parts, key_frame, segmenter, Counter(tell, len(frames)))
    tell_lost(masks, [f"subject {k + 1}" for k in range(subjects)], key_frame)
    return masks.float()
