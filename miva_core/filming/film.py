"""A still picture in motion: formulas move it at its own size, and no network is asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from ..animation.clip import Clip
from ..animation.framing import describe_framing
from ..animation.masks import match_size
from ..animation.notes import scene_notes, sight_notes, view_notes
from ..errors import MIVAError
from ..media.guessed_nearness import lower_half_near
from ..media.nearness import NOT_DEEP, check_nearness, nearness_notes
from ..media.pictures import format_size
from ..media.pixel_values import frame_batch, mask_batch
from ..motion_fields.motions import UNITS, spoken
from ..rendering.scene import Scene, is_subject
from ..rendering.timing import FPS, ClipTimes, Timing
from ..rendering.view import LARGEST_SUBJECT, SMALLEST_SIDE, AskedSize, View, choose_size
from ..rendering.window import Edges
from .filmed_motion import FilmedMotion, named
from .picture_motion import picture_motion

FRAMES, RATE = 16, 8.0
"""Of a clip of the usual length, 2 s; times in the formulas are frames of 1/8 s."""


@dataclass(frozen=True, eq=False)
class FilmOptions:
    """How a picture is filmed.

    Attributes:
        size: (height, width) of the clip, see `choose_size`; None for the picture's own, up to 1024 along the longer
            side.
        timing: rate, length and pace. In a loop waves close, clouds are cross-faded with themselves, and everything
            else goes there and back.
        edges: as of `RunOptions`, for motions of the whole frame.
        front: (H, W) in [0, 1] of the picture: what stands before all that moves, as someone before a tree that sways.
        seed: of a shake.
    """

    size: AskedSize = None
    timing: Timing = field(default_factory=Timing)
    edges: Edges = "inside"
    front: Tensor | None = None
    seed: int = 0


def film(
    picture: Tensor,
    motions: Sequence[FilmedMotion],
    nearness: Tensor | None = None,
    options: FilmOptions | None = None,
) -> Clip:
    """Film a still picture.

    Args:
        picture: (H, W, 3) in [0, 1].
        motions: all at once; of subjects that are carried later ones are in front, unless `nearness` says otherwise.
        nearness: (H, W) in [0, 1] of the picture, 1 where it is nearest, for motions in depth. Without it the lower
            half is taken to be near.
        options: how it is filmed.

    Returns:
        The clip; its frames are rendered when they are looked at, with a mask for each part that moves.

    Raises:
        MIVAError: an input has another form, a mask shows nothing or leaves nothing, or the camera leaves the picture
            too far.

    Example:
        >>> film(picture, [FilmedMotion("drift-left", 0.5, sky), FilmedMotion("dolly-in", 0.6)], depth)
    """
    options = options or FilmOptions()
    pixels = _picture(picture)
    read = (pixels.shape[0], pixels.shape[1])
    view = View.of(read, choose_size(options.size, read, UNITS))
    masked = {name: _masked(name, motion, read, view) for name, motion in named(motions).items()}
    near, depth_notes = _nearness(masked, nearness, read)
    front = None if options.front is None else _front(options.front, masked, read)
    scene = Scene.layered(
        pixels,
        picture_motion(masked, view, near, options.seed),
        view,
        ClipTimes.of(options.timing, FRAMES, RATE),
        options.edges,
        front,
    )
    fps = options.timing.fps or FPS
    notes = [
        *_idle_notes(masked, front),
        *view_notes(options.size, read, view.size, UNITS),
        *depth_notes,
        *scene_notes(scene.window.zoom, read, False),
        *sight_notes(scene.shares_seen(), fps),
    ]
    return Clip(scene, fps, None, tuple(notes), describe_framing(read, view.size, "crop"))


def _idle_notes(motions: Mapping[str, FilmedMotion], front: Tensor | None) -> list[str]:
    """Say what is given and changes nothing."""
    if not motions:
        return ["No motion is given, so nothing moves."]
    notes = [f"{name} has the speed 0 and does nothing." for name, motion in motions.items() if not motion.speed]
    if front is not None and all(motion.mask is None and motion.field.kind != "depth" for motion in motions.values()):
        notes.append("The mask of what is in front is not used: no part of the picture moves behind it.")
    return notes


def _picture(picture: Any) -> Tensor:
    """The picture (H, W, 3), a copy, since frames are rendered later."""
    pictures = frame_batch(picture, "The picture")
    if len(pictures) != 1 or pictures.shape[-1] != 3:
        raise MIVAError(f"The picture has the shape {tuple(picture.shape)}, expected (height, width, 3).")
    if min(pictures.shape[1:3]) < SMALLEST_SIDE:
        size = format_size(pictures.shape[1:3])
        raise MIVAError(f"The picture is {size}: each side must have at least {SMALLEST_SIDE} pixels.")
    return pictures[0].clone()


def _mask(mask: Any, name: str) -> Tensor:
    """A mask (H, W), a copy."""
    masks = mask_batch(mask, f"The mask of {name}")
    if len(masks) != 1:
        raise MIVAError(f"The mask of {name} is a batch of {len(masks)}, but there is one picture: give one of them.")
    return masks[0].clone()


def _front(mask: Any, motions: Mapping[str, FilmedMotion], picture: tuple[int, int]) -> Tensor:
    """What is in front (H, W), of the picture's size, with something behind it that moves."""
    front = match_size("what is in front", _mask(mask, "what is in front"), picture)
    if front.amax() <= 0.5:
        fault = "is nowhere brighter than half" if front.any() else "is empty"
        raise MIVAError(
            f"The mask of what is in front {fault}: paint white over what stands before all that moves, or leave it "
            "out."
        )
    for name, motion in motions.items():
        if motion.mask is not None and not ((motion.mask > 0.5) & (front <= 0.5)).any():
            raise MIVAError(
                f"What is in front hides all that the mask of {name} marks, so it could not be seen to move: let the "
                "mask of what is in front leave some of that out."
            )
    return front


def _masked(name: str, motion: FilmedMotion, picture: tuple[int, int], view: View) -> FilmedMotion:
    """A motion with a mask that shows something, of the picture's size."""
    if motion.mask is None:
        return motion
    mask = match_size(name, _mask(motion.mask, name), picture)
    top, left, height, width = view.box
    seen = mask[top : top + height, left : left + width]
    if not is_subject(seen.numpy()):
        raise MIVAError(_not_a_part(name, mask, seen))
    return replace(motion, mask=mask)


def _not_a_part(name: str, mask: Tensor, seen: Tensor) -> str:
    """What is wrong with a mask (H, W) of which nothing, or everything, is seen."""
    if (seen > 0.5).float().mean() >= LARGEST_SUBJECT:
        if mask.amin() > 0.5 or (mask > 0.5).float().mean() >= LARGEST_SUBJECT:
            return (
                f"The mask of {name} is the whole picture, so there is nothing beside what moves: mark the part alone, "
                "or invert the mask."
            )
        return f"All that is seen of the picture is in the mask of {name}: choose a size nearer to its aspect."
    if mask.amax() > 0.5 and (mask > 0.5).float().mean() > 1e-4:
        return f"What the mask of {name} marks is cut off at this size: choose one nearer to the picture's aspect."
    fault = "is empty" if not mask.any() else "is nowhere brighter than half" if mask.amax() <= 0.5 else "is a speck"
    return f"The mask of {name} {fault}: paint white over the part of the picture that is to move."


def _nearness(
    motions: Mapping[str, FilmedMotion], nearness: Tensor | None, picture: tuple[int, int]
) -> tuple[Tensor | None, list[str]]:
    """How near each pixel (H, W) of a picture is, where that matters, and what is odd about it, in sentences."""
    deep = [spoken(motion.field.name) for motion in motions.values() if motion.field.kind == "depth"]
    if nearness is not None:
        checked = check_nearness(nearness, picture)
        carried = sum(motion.field.kind == "carried" for motion in motions.values())
        return checked, nearness_notes(checked) if deep or carried > 1 else [NOT_DEEP]
    if not deep:
        return None, []
    return lower_half_near(*picture), [
        f"Without a depth map the lower half of the picture is taken to be near by {' and '.join(deep)}: connect one, "
        "white where it is near."
    ]
