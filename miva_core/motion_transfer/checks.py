"""What can be wrong with a clip whose motion is to be taken over, and what is odd about one."""

import numpy as np
from torch import Tensor

from ..checks import is_number
from ..errors import MIVAError
from ..media.pictures import format_size, same_aspect
from ..rendering.layer_motion import Motions
from ..rendering.scene import is_subject
from ..rendering.view import SMALLEST_SIDE
from .clip_flow import ClipFlow

MOST = 2.0
"""The largest strength: farther, what comes into view is more than what was there."""
_DOUBTFUL = 0.1
"""Share of what frames show from which on it is told that their flow is not trusted."""


def check_inputs(frames: Tensor, picture: Tensor, strength: float, mask: Tensor | None) -> None:
    """Check the inputs of `transfer`.

    Raises:
        MIVAError: one of them has another form, or nothing can be measured in it.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or min(frames.shape[1:3]) < SMALLEST_SIDE:
        raise MIVAError(
            f"The clip has the shape {tuple(frames.shape)}, expected (frames, height, width, 3) with sides from "
            f"{SMALLEST_SIDE} pixels on."
        )
    if len(frames) < 2:
        raise MIVAError("The clip is a single frame, and nothing moves in one: give two frames or more.")
    if picture.ndim != 3 or picture.shape[-1] != 3 or min(picture.shape[:2]) < SMALLEST_SIDE:
        raise MIVAError(
            f"The picture to be moved has the shape {tuple(picture.shape)}, expected (height, width, 3) with sides "
            f"from {SMALLEST_SIDE} pixels on."
        )
    for values, what in ((frames, "clip"), (picture, "picture"), (mask, "mask")):
        if values is not None and not (values.is_floating_point() and values.isfinite().all()):
            raise MIVAError(f"The {what} holds other values than finite floats: give one with values from 0 to 1.")
    if not (is_number(strength) and 0 <= strength <= MOST):
        raise MIVAError(f"A motion cannot be taken over at the strength {strength!r}: choose 0 to {MOST:g}.")
    if mask is not None:
        _check_mask(mask, (picture.shape[0], picture.shape[1]), (frames.shape[1], frames.shape[2]))


def _check_mask(mask: Tensor, *sizes: tuple[int, int]) -> None:
    """Check a mask of a picture, or of a clip, of one of these sizes (height, width)."""
    if mask.ndim != 2 or not mask.numel():
        raise MIVAError(f"The mask has the shape {tuple(mask.shape)}, expected (height, width).")
    size = mask.shape[0], mask.shape[1]
    if not any(same_aspect(size, whole) for whole in sizes):
        raise MIVAError(
            f"The mask is {format_size(size)}, the picture {format_size(sizes[0])}: they must have one aspect, since "
            "the mask says where in all of the picture the subject is."
        )
    if not is_subject(mask.numpy(force=True)):
        raise MIVAError(
            f"The mask is white in {float((mask > 0.5).float().mean()):.1%} of the picture: it must show a subject, "
            "and leave ground around it to move over."
        )


def clip_notes(
    clip: ClipFlow,
    length: int,
    motions: Motions,
    untrusted: np.ndarray,
    lost: int | None,
    clip_size: tuple[int, int],
    picture_size: tuple[int, int],
) -> list[str]:
    """Say what is odd about a clip, in sentences.

    Args:
        clip: its flow, as far as it could be followed.
        length: frames that it has.
        motions: that were read off it.
        untrusted: (F, h, w), see `unexplained`.
        lost: the frame, from 0, from which on a subject is not found, see `lost_from`; None for no such one.
        clip_size: (height, width) of its frames.
        picture_size: (height, width) of the picture.

    Raises:
        MIVAError: not even its second frame could be followed.
    """
    followed, notes = len(clip.flow), []
    if followed < 2:
        raise MIVAError(
            "The second frame of the clip does not follow its first: it is a cut, mere noise, or all moves too far at "
            "once. Give frames of one shot, and more of them a second where they move far."
        )
    if followed < length:
        notes.append(
            f"The motion ends after {followed} of the clip's {length} frames: frame {followed + 1} does not follow the "
            "one before, as at a cut, in mere noise or where all moves too far at once."
        )
    ground, subjects = motions
    if lost is not None:
        notes.append(
            f"From frame {lost + 1} of the clip on its subject is lost, as when it goes farther than its own size or "
            "is hidden, and the picture's does not move like it: end the clip before, or give more frames a second."
        )
    elif ground.rests and all(motion.rests for motion in subjects.values()):
        notes.append("Nothing moves in the clip, so nothing moves in the picture.")
    doubtful = float(untrusted[1:].mean())
    if doubtful > _DOUBTFUL:
        notes.append(
            f"In {doubtful:.0%} of what the clip shows, its flow cannot be trusted, as in noise, behind what moves or "
            "where colours change: there the picture moves like what is around, and is marked as invented."
        )
    if not same_aspect(clip_size, picture_size):
        notes.append(
            f"The clip is {clip_size[1] / clip_size[0]:.3g} times as wide as high, the picture "
            f"{picture_size[1] / picture_size[0]:.3g} times: what moves by a share of the clip's width or height moves "
            "by that share of the picture's."
        )
    return notes
