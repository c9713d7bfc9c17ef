"""Check boxes, points and rough masks, by which people point at subjects, against the picture they belong to."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..checks import is_whole
from ..errors import MIVAError
from ..media.pictures import format_size
from ..media.pixel_values import mask_batch
from .segmenter import OFF, ON, Point


def check_key_frame(key_frame: int, frames: int) -> None:
    """Check the index of a key frame.

    Args:
        key_frame: the index, from 0.
        frames: number of frames of the clip.

    Raises:
        MIVAError: there is no such frame.
    """
    if not is_whole(key_frame) or not 0 <= key_frame < frames:
        there = f"a clip of {frames} frames, counted from 0" if frames > 1 else "a single picture, which is frame 0"
        raise MIVAError(f"There is no key frame {key_frame} in {there}.")


def check_boxes(boxes: Tensor | Sequence[Sequence[float]], size: tuple[int, int]) -> Tensor:
    """Check boxes, and clip them to a picture.

    Args:
        boxes: (N, 4) corners x0, y0, x1, y1 in pixels.
        size: (height, width) of the picture.

    Returns:
        (N, 4) float32.

    Raises:
        MIVAError: another shape, not finite, empty, or outside the picture.
    """
    try:
        corners = torch.tensor([[float(edge) for edge in box] for box in boxes])
    except (TypeError, ValueError, RuntimeError):
        corners = torch.empty(0)
    if corners.ndim != 2 or corners.shape[1] != 4 or not len(corners) or not corners.isfinite().all():
        raise MIVAError("Expected boxes as x0, y0, x1, y1 in pixels, at least one, and four numbers each.")
    height, width = size
    clipped = corners.clamp(min=0).minimum(torch.tensor([width, height, width, height]))
    for box, inside in zip(corners.tolist(), clipped.tolist(), strict=True):
        if inside[2] - inside[0] < 1 or inside[3] - inside[1] < 1:
            edges = ", ".join(f"{number:g}" for number in box)
            raise MIVAError(
                f"The box {edges} covers nothing of the image, which is {format_size(size)}: give the left, top, right "
                "and bottom edge in pixels."
            )
    return clipped


def check_points(points: Sequence[Sequence[Point]], size: tuple[int, int]) -> list[list[Point]]:
    """Check the points of each subject.

    Args:
        points: for each subject (x, y, ON or OFF) in pixels.
        size: (height, width) of the picture.

    Raises:
        MIVAError: another form, a point outside the picture, or no point on a subject.
    """
    try:
        of_subjects = [[_checked_point(point, size) for point in of_subject] for of_subject in points]
    except TypeError:
        raise MIVAError(f"Expected for each subject a list of points (x, y, label), got {points!r}.") from None
    if not of_subjects:
        raise MIVAError("There are no points: give at least one that lies on the subject.")
    if not all(any(label == ON for *_, label in of_subject) for of_subject in of_subjects):
        raise MIVAError("A subject needs at least one point that lies on it, not only points beside it.")
    return of_subjects


def _checked_point(point: Point, size: tuple[int, int]) -> Point:
    height, width = size
    try:
        x, y, label = map(float, point)
    except ValueError:
        x, y, label = 0.0, 0.0, -1.0
    if label not in (ON, OFF):
        raise MIVAError(f"Expected a point as x, y and 1 (on the subject) or 0 (beside it), got {point}.")
    if not (0 <= x <= width and 0 <= y <= height):
        raise MIVAError(f"The point {x:g}, {y:g} is outside the image, which is {format_size(size)}.")
    return x, y, int(label)


def check_rough(rough: Tensor, size: tuple[int, int]) -> Tensor:
    """Check rough masks of subjects.

    Args:
        rough: (N, H, W) or (H, W) in [0, 1], see `mask_batch`; above 0.5 is the subject.
        size: (height, width) of the picture.

    Returns:
        (N, H, W) float32 in [0, 1].

    Raises:
        MIVAError: another shape or size, or a mask is empty.
    """
    masks = mask_batch(rough, "The rough mask")
    if tuple(masks.shape[1:]) != size:
        raise MIVAError(
            f"The rough mask is {format_size(masks.shape[1:])} but the image is {format_size(size)}; resize the mask "
            "first."
        )
    if not (masks > 0.5).any(-1).any(-1).all():
        raise MIVAError("The rough mask is empty: paint white over the subject.")
    return masks
