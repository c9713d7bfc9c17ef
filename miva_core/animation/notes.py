"""What is odd about a run, in words, for whoever started it."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from torch import Tensor

from ..bases.base import Base
from ..media.pictures import format_size
from ..rendering.timing import Timing
from ..rendering.view import LARGEST_SUBJECT, USUAL_SIDE, AskedSize, Size
from .motion import Motion
from .options import RunOptions
from .said import Said
from .strength_notes import list_notes, strength_notes

_FAR_FROM_BASE = 2.0
"""How many times a side may be as long, or as short, as what a base was trained on."""
_ALMOST_ALL, _SMALL_WINDOW = 0.995, 0.5
"""Shares of the picture's sides: nobody misses more than the first, and everybody more than the second."""

_SMALL_PICTURE = 64
"""Pixels of a side, of which the margin that sampling needs is a tenth or more."""
_LITTLE_SEEN = 0.25
"""Shares below which a frame shows too little: of the picture's sides, and of its own area that is the picture."""
_BOX = 0.97
"""How much of the smallest box around it a mask fills that has been drawn as one; an ellipse fills 0.79."""

_BENDS = (
    "A part of the picture moves that no mask marks, so its edges bend: take a masked motion, such as jump_masked, "
    "with a mask of the subject, by words, a box or a drawing."
)


def run_notes(base: Base, motions: Sequence[Motion | Said], steps: int) -> list[str]:
    """Say what is odd about the motions of a run.

    Args:
        base: that of the run.
        motions: all of them, with their names.
        steps: how many it has.

    Returns:
        Sentences, none where all is usual.
    """
    adapters = [motion for motion in motions if isinstance(motion, Motion)]
    moved = any(isinstance(motion, Said) or motion.acts for motion in motions)
    idle = [] if moved else [without_motion(base.under_caption)]
    return [*_expert(base), *idle, *strength_notes(adapters), *list_notes(adapters, steps)]


def _expert(base: Base) -> list[str]:
    """Of a base that is meant for a part of a run."""
    lowest, highest = (level * base.noise_process.length for level in base.levels)
    if (lowest, highest) == (0, base.noise_process.length):
        return []
    return [
        f"{base.release} was trained on the timesteps from {lowest:g} to {highest:g} alone, and runs at others, too: "
        "whole clips are made in ComfyUI, where it takes turns with its other expert, Apply MIVA on each of them."
    ]


def size_notes(size: tuple[int, int], usual: tuple[int, int]) -> list[str]:
    """Say what is odd about the size that a base denoises.

    Args:
        size: (height, width) of it.
        usual: (height, width) that the base was trained on.

    Returns:
        A sentence, or none.
    """
    if max(max(side / other, other / side) for side, other in zip(size, usual, strict=True)) <= _FAR_FROM_BASE:
        return []
    return [f"{format_size(size)} is far from the {format_size(usual)} that this base was trained on; it may not move."]


def segment_notes(segments: int, masks: Mapping[str, Tensor]) -> list[str]:
    """Say what is odd about a clip in segments.

    Args:
        segments: how many there are.
        masks: (segments - 1, H, W) in [0, 1] at their joins, by the name of the motion.

    Returns:
        Sentences, or none.
    """
    if segments == 1:
        return []
    lost = {name: [k for k, mask in enumerate(joins, start=1) if mask.amax() <= 0.5] for name, joins in masks.items()}
    return [
        "Each segment after the first begins with a frame that the base has painted, so the clip grows softer, and "
        "only steady motions go on without a break.",
        *(
            f"The mask of {name} shows nothing any more after segment {joins[0]}, so it does not act in what follows."
            for name, joins in lost.items()
            if joins
        ),
    ]


def unused_options(options: RunOptions, frames: int, fps: float) -> list[str]:
    """Say that options which are for clips at full size did nothing to one that its base painted.

    Args:
        options: those of the run.
        frames: length of the clip.
        fps: its frames a second.

    Returns:
        A sentence, or none.
    """
    if options.timing == Timing() and options.edges == "inside":
        return []
    return [
        f"Frame rate, duration, easing, loop and edges are for clips at full size: this one has the {frames} frames, "
        f"{fps:g} a second, that its base makes."
    ]


def view_notes(asked: AskedSize, picture: Size, size: Size, least: int) -> list[str]:
    """Say why a clip at full size has not the size of its picture, or not the one that was asked for.

    Args:
        asked: see `RunOptions.size`.
        picture: (height, width) of the picture in its file.
        size: (height, width) of the clip.
        least: pixels that the shorter side of a clip has, unless another size is asked for.

    Returns:
        Sentences, or none.
    """
    if asked is None and max(picture) > USUAL_SIDE >= max(size):
        return [f"The longer side of a clip has {USUAL_SIDE} pixels, unless another size is asked for."]
    if asked is None and min(picture) < least:
        return [f"The picture was enlarged: the shorter side of a clip has at least {least} pixels."]
    if any(side is not None and side % 2 for side in asked or picture):
        return [f"Sides of a clip are even, as videos need them: {format_size(size)}."]
    return []


def time_notes(
    times: np.ndarray, frames: int, rate: float, camera: bool, subjects: bool, curved: bool = False
) -> list[str]:
    """Say what a clip shows after the base's own clip has ended.

    Args:
        times: (N,) of its frames, in frames of the base's clip.
        frames: length of the base's clip.
        rate: its frames a second.
        camera: whether it moves.
        subjects: whether something moves on the ground, or bends it.
        curved: whether the camera was asked to change its speed.

    Returns:
        A sentence, or none.
    """
    goes_on = [f"the camera goes on at its {'last speed' if curved else 'speed'}"] if camera else []
    goes_on += ["what subjects do runs back and forth"] if subjects else []
    if times.max() <= frames or not goes_on:
        return []
    what = "curves over frames last" if curved else "motion lasts"
    return [f"The {what} {frames / rate:g} s: after that {', and '.join(goes_on)}."]


def scene_notes(zoom: float, picture: Size, bends: bool) -> list[str]:
    """Say what is odd about the look of a clip at full size.

    Args:
        zoom: share of the view's sides that it shows.
        picture: (height, width) of the picture.
        bends: whether a motion moves a part of the picture that no mask marks.

    Returns:
        Sentences, or none.
    """
    return [*_window(zoom, picture), *([_BENDS] if bends else [])]


def sight_notes(seen: np.ndarray, fps: float) -> list[str]:
    """Say that the camera of a clip at full size goes so far that next to nothing of the picture is left to see.

    Args:
        seen: (N, 2) of the frames, see `Scene.shares_seen`.
        fps: frames a second.

    Returns:
        Sentences, or none.
    """
    lost = (
        "the camera is so close that less than a quarter of the picture's width and height is seen",
        "less than a quarter of what the clip shows is the picture, the rest is made up from its edges",
    )
    return [
        f"After {little.argmax() / fps:.2g} s {what}: a shorter clip ends before."
        for little, what in zip(seen.T < _LITTLE_SEEN, lost, strict=True)
        if little.any()
    ]


def mask_notes(masks: Mapping[str, np.ndarray], moving: Collection[str]) -> list[str]:
    """Say which masks of a clip at full size do not mark a subject alone.

    Args:
        masks: (H, W) in [0, 1] of what the first frame shows, by the name of their motion, which acts.
        moving: names of those whose subject moves over the ground.

    Returns:
        A sentence for each of them.
    """
    asked = ((name, _odd_mask(mask > 0.5, name not in moving)) for name, mask in masks.items())
    return [what.format(name) for name, what in asked if what]


def _odd_mask(subject: np.ndarray, rests: bool) -> str:
    """What is odd about a mask (H, W) of truth values, with {} for its name, or nothing."""
    if subject.mean() >= LARGEST_SUBJECT:
        return (
            "With the mask of {} nothing is left beside the subject for it to move over, so the picture bends: mark "
            "the subject alone, or invert the mask."
        )
    if rests:
        return "The mask of {} marks nothing that moves: it should be white on all of one subject, and black around it."
    down, across = (np.ptp(places) + 1 for places in subject.nonzero())
    if subject.sum() < _BOX * down * across:
        return ""
    return (
        "The mask of {} is a box: what it holds beside the subject moves, too. Refine it by Subject Mask, by the "
        "command mask with --box and --grabcut, or by drawing."
    )


def _window(zoom: float, picture: Size) -> list[str]:
    """Of a clip that shows a part of the picture."""
    if zoom > _ALMOST_ALL:
        return []
    shown = (
        f"The clip shows {100 * zoom:.0f} % of the picture's width and height, so that nothing invented comes into "
        "view: the edges 'mirror' show all of it."
    )
    if zoom >= _SMALL_WINDOW:
        return [shown]
    larger = ", and so does a larger picture" if min(picture) < _SMALL_PICTURE else ""
    return [shown, f"That is little of it: a shorter clip shows more{larger}."]


def without_motion(captioned: bool) -> str:
    """Say what a base does when no motion acts.

    Args:
        captioned: whether it runs under one of its captions, see `Base.with_drawn_caption`.

    Returns:
        A sentence.
    """
    moves = "makes one of its camera moves, which the seed chooses" if captioned else "moves as it likes"
    return f"No motion acts: the base {moves}."
