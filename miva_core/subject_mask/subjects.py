"""Make one mask for each subject and frame, from words, boxes, points or rough masks."""

import warnings
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torchvision.ops import masks_to_boxes

from ..errors import MIVAError, MIVAWarning
from .detector import Candidates, Detector
from .following import FrameProgress, ObjectGroups, OnProgress, follow, warn_lost, warn_memory
from .images import check_images
from .overlap import Overlap, check_overlap
from .pointing import check_boxes, check_key_frame, check_points, check_rough
from .prompt import split_prompt
from .search import Search, SearchOptions
from .segmenter import Point, Segmenter

Mode = Literal["track", "every frame"]
_LISTED_FRAMES = 10


class Subjects(NamedTuple):
    """Subjects of a clip.

    Attributes:
        masks: (subjects, F, H, W) float32 in [0, 1], 1 on the subject.
        boxes: for each subject and frame (n, 4) corners x0, y0, x1, y1 in pixels; None in frames where the subject was
            not looked for but tracked.
        labels: their names: the phrases in the order of the prompt, or numbers.
        scores: for each subject and frame (n,) in [0, 1], None like `boxes`.
    """

    masks: Tensor
    boxes: list[list[Tensor | None]]
    labels: list[str]
    scores: list[list[Tensor | None]]


def numbered_subjects(masks: Tensor) -> Subjects:
    """Call the subjects of masks (subjects, F, H, W) "subject 1" and so on; they have no boxes."""
    none: list[list[Tensor | None]] = [[None] * masks.shape[1] for _ in masks]
    return Subjects(masks, none, _numbered(len(masks)), none)


def _numbered(count: int) -> list[str]:
    return [f"subject {k + 1}" for k in range(count)]


def find_subjects(
    images: Tensor,
    prompt: str,
    detector: Detector,
    segmenter: Segmenter,
    options: SearchOptions | None = None,
    *,
    mode: Mode = "track",
    key_frame: int = 0,
    on_progress: OnProgress | None = None,
) -> Subjects:
    """Find subjects by words, in a picture or in every frame of a clip.

    Args:
        images: (F, H, W, C) float in [0, 1]; see `check_images`.
        prompt: one phrase for each subject, such as "horse. rider."; see `split_prompt`.
        detector: finds boxes of what phrases name.
        segmenter: makes masks of boxes, and tracks them.
        options: which of the boxes become subjects; default all as in `SearchOptions`.
        mode: "track" finds the subjects in the key frame and follows them both ways; "every frame" finds them in each
            frame anew, which suits pictures that are no clip.
        key_frame: index of a frame in which all subjects are seen well.
        on_progress: called as (done, total) with numbers of frames; what it raises ends the work.

    Raises:
        NotFoundError: a subject is not found.
        MIVAError: bad images or prompt, an option is out of range, or the key frame is outside the clip.

    Example:
        >>> found = find_subjects(frames, "horse. rider.", load_detector(dino), load_segmenter(sam2))
        >>> horse, rider = found.masks  # (F, H, W) each
    """
    frames = check_images(images)
    search = Search(split_prompt(prompt), detector, segmenter, options or SearchOptions())
    if mode not in get_args(Mode):
        raise MIVAError(f"The option mode is {mode!r}: choose 'track' or 'every frame'.")
    check_key_frame(key_frame, len(frames))
    warn_memory(frames, len(search.phrases))
    progress = FrameProgress(on_progress, len(frames))
    if mode == "every frame":
        return _in_every_frame(frames, search, progress)
    return _from_key_frame(frames, search, key_frame, progress)


def _from_key_frame(frames: Tensor, search: Search, key_frame: int, progress: FrameProgress) -> Subjects:
    found = search.find(frames[key_frame])
    search.check(found, f"frame {key_frame}")
    key, groups = search.segment(frames[key_frame], found)
    masks = follow(frames, key, groups, key_frame, search.segmenter, progress)
    present = [k for k, one in enumerate(found) if len(one.boxes)]
    warn_lost(masks[present], [search.phrases[k] for k in present], key_frame)
    by_frame = [[one if k == key_frame else None for k in range(len(frames))] for one in found]
    return _subjects(masks.float(), by_frame, search.phrases)


def _in_every_frame(frames: Tensor, search: Search, progress: FrameProgress) -> Subjects:
    masks = torch.zeros(len(search.phrases), *frames.shape[:3])
    by_frame = []
    for k, picture in enumerate(frames):
        by_frame.append(search.find(picture))
        logits, groups = search.segment(picture, by_frame[-1])
        masks[:, k] = groups.masks(logits).float()
        progress.step()
    by_subject = list(zip(*by_frame, strict=True))
    best = [max(of_subject, key=lambda one: (len(one.boxes) > 0, one.best_score)) for of_subject in by_subject]
    search.check(best, "any frame" if len(frames) > 1 else "frame 0")
    for phrase, of_subject in zip(search.phrases, by_subject, strict=True):
        _warn_gaps(phrase, [k for k, one in enumerate(of_subject) if not len(one.boxes)], len(frames))
    return _subjects(masks, by_subject, search.phrases)


def _warn_gaps(phrase: str, without: Sequence[int], frames: int) -> None:
    """Warn of a phrase that was not found in some of the frames."""
    if not 0 < len(without) < frames:
        return
    numbers = f"{', '.join(map(str, without[:_LISTED_FRAMES]))}{' …' * (len(without) > _LISTED_FRAMES)}"
    text = f"No {phrase!r} was found in frame{'s' * (len(without) > 1)} {numbers}: its mask is empty there."
    warnings.warn(text, MIVAWarning, stacklevel=4)


def _subjects(masks: Tensor, found: Sequence[Sequence[Candidates | None]], phrases: Sequence[str]) -> Subjects:
    """Join masks with the candidates of each subject and frame, which are None where it was not looked for."""
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
    on_progress: OnProgress | None = None,
) -> Tensor:
    """Segment subjects that are pointed at, in a picture or in every frame of a clip.

    At least one of boxes, points and rough masks is needed. Those that are there belong to the same subjects, in the
    same order. In a clip the subjects are followed both ways from the key frame.

    Args:
        images: (F, H, W, C) float in [0, 1]; see `check_images`.
        segmenter: makes the masks, and tracks them.
        boxes: corners x0, y0, x1, y1 of each subject, in pixels of the key frame.
        points: for each subject (x, y, label), in pixels; the label is 1 on it and 0 off it.
        rough: (subjects, H, W) or (H, W) in [0, 1]; above 0.5 is the subject.
        key_frame: index of the frame in which they are pointed at.
        overlap: see `resolve`.
        on_progress: called as (done, total) with numbers of frames; what it raises ends the work.

    Returns:
        (subjects, F, H, W) float32 of 0 and 1.

    Raises:
        MIVAError: bad images, boxes, points or masks, or the key frame is outside the clip.
    """
    frames = check_images(images)
    check_overlap(overlap)
    check_key_frame(key_frame, len(frames))
    size = frames.shape[1], frames.shape[2]
    prompts: dict[str, Any] = {}
    if boxes is not None:
        prompts["boxes"] = check_boxes(boxes, size)
    if points is not None:
        prompts["points"] = check_points(points, size)
    if rough is not None:
        prompts["rough"] = check_rough(rough, size)
        # A rough mask alone leaves SAM 2 unsure of how much is meant.
        prompts.setdefault("boxes", masks_to_boxes(prompts["rough"] > 0.5) + torch.tensor([0, 0, 1, 1]))
    counts = {len(value) for value in prompts.values()}
    if len(counts) != 1:
        found = " and ".join(f"{len(value)} {name}" for name, value in prompts.items()) or "none of them"
        raise MIVAError(f"Expected boxes, points or rough masks, of as many subjects each, but got {found}.")
    (subjects,) = counts
    warn_memory(frames, subjects)
    logits = segmenter(frames[key_frame], **prompts)
    groups = ObjectGroups(range(subjects), subjects, overlap)
    masks = follow(frames, logits, groups, key_frame, segmenter, FrameProgress(on_progress, len(frames)))
    warn_lost(masks, _numbered(subjects), key_frame)
    return masks.float()
