"""Pictures that an adapter is tried on, and what it makes of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from einops import rearrange
from torch import Tensor

from ..adapters.adapter import MIVAAdapter
from ..animation.animate import animate
from ..animation.clip import Clip, Progress
from ..animation.motion import Motion
from ..animation.options import RunOptions
from ..bases.base import Base
from ..checks import printable
from ..clips.files import FindMasks
from ..clips.stills import find_stills
from ..clips.training_clip import TrainingClip
from ..errors import MIVAError
from ..media.contact_sheet import contact_sheet, frames_over_masks
from ..media.nearness import is_flat
from ..media.pictures import read_mask, read_picture
from .training_set import TrainingSet

_SHEET_FRAMES = 8


@dataclass(frozen=True)
class Validation:
    """A picture that an adapter is tried on.

    Attributes:
        label: what it is called.
        picture: (H, W, 3) in [0, 1].
        mask: (H, W) in [0, 1], of its subject; for masked adapters, and those that a mask guides.
        words: which motion it is tried with; for adapters that hear words.
        nearness: (H, W) in [0, 1]; for adapters that it guides.
    """

    label: str
    picture: Tensor
    mask: Tensor | None = None
    words: str | None = None
    nearness: Tensor | None = None


def read_validations(
    folder: Path, masked: bool, most: int | None = None, find: FindMasks | None = None
) -> list[Validation]:
    """Read the stills of a folder; for masked adapters each with the mask beside it, `still_mask.png` for `still.jpg`.

    Args:
        folder: that they are in.
        masked: whether masks are needed.
        most: number of stills at most, the first ones; None for all.
        find: makes the masks of stills that have none, the first one of several subjects.

    Raises:
        MIVAError: no such folder, no stills in it, or some that cannot be read or lack a mask; all of them are named.
    """
    validations, problems = [], []
    for path, mask in list(find_stills(folder).items())[:most]:
        if masked and mask is None and find is None:
            problems.append(f"{path.name} has no mask: put {path.stem}_mask.png beside it, white where its subject is.")
            continue
        try:
            picture = read_picture(path)
            validations.append(
                Validation(printable(path.stem), picture, _mask(picture, mask, find) if masked else None)
            )
        except MIVAError as error:
            problems.append(f"{path.name}: {error}" if find and not mask else str(error))
    if problems:
        raise MIVAError(" ".join(problems))
    return validations


def first_frames(training_set: TrainingSet, count: int) -> list[Validation]:
    """Take first frames of clips, with the words of these, for want of pictures that are not learnt from.

    Args:
        training_set: whose clips they are.
        count: number of clips at most, spread over all of them.
    """
    spread = sorted({round(k * (len(training_set.clips) - 1) / max(1, count - 1)) for k in range(count)})
    return [
        Validation(
            f"{printable(clip.name)}, learnt from",
            rearrange(clip.frames[0], "c h w -> h w c").float() / 255,
            clip.masks[0, 0].float() / 255 if training_set.takes_masks else None,
            clip.words or None,
            _nearness(clip) if training_set.guide == "nearness" else None,
        )
        for clip in (training_set.clips[k] for k in spread)
    ]


def in_words(validations: list[Validation], words: Sequence[str]) -> list[Validation]:
    """Let each picture be tried with words: its own, or else those of the adapter, one after the other.

    Args:
        validations: the pictures.
        words: that the adapter has learnt, or is to learn; none for one that hears none.

    Returns:
        The same pictures, whose labels say the words.
    """
    if not words:
        return validations
    said = [validation.words or words[k % len(words)] for k, validation in enumerate(validations)]
    return [
        replace(validation, label=f"{validation.label}, {printable(text)}", words=text)
        for validation, text in zip(validations, said, strict=True)
    ]


def _nearness(clip: TrainingClip) -> Tensor | None:
    """The depth map of the first frame; None where it shows none, as of a part of a still that is all near."""
    nearness = None if clip.nearness is None else clip.nearness.float() / 255
    return None if nearness is None or is_flat(nearness) else nearness


def _mask(picture: Tensor, path: Path | None, find: FindMasks | None) -> Tensor | None:
    """The mask of a picture: that of a file, or else one that is found."""
    if path:
        return read_mask(path)
    return find(picture[None])[0, 0] if find else None


def try_on(
    base: Base,
    adapter: MIVAAdapter,
    validations: Sequence[Validation],
    seed: int = 0,
    steps: int | None = None,
    callback: Callable[[Progress], None] | None = None,
) -> list[Clip]:
    """Animate each picture by one adapter alone, at the strength 1.

    Args:
        base: that animates.
        adapter: what is tried.
        validations: the pictures.
        seed: of every clip.
        steps: denoising steps; None for the base's own number.
        callback: see `animate`.

    Returns:
        A clip of each picture.
    """
    return [
        animate(
            base,
            validation.picture,
            # by whose name warnings call it
            [Motion(adapter, mask=validation.mask, name=validation.label, words=validation.words)],
            RunOptions(seed, steps, render="latents", nearness=validation.nearness),
            callback,
        )
        for validation in validations
    ]


def validation_sheet(validations: Sequence[Validation], clips: Sequence[Clip]) -> Tensor:
    """Draw clips below each other, with the masks of masked ones.

    Args:
        validations: the pictures, whose labels are drawn.
        clips: made of them, in their order.

    Returns:
        A picture (height, width, 3) uint8.
    """
    every = max(1, round(len(clips[0].frames) / _SHEET_FRAMES))
    rows = [
        (validation.label, frames_over_masks(clip.frames, list(clip.masks.values())) if clip.masks else clip.frames)
        for validation, clip in zip(validations, clips, strict=True)
    ]
    return contact_sheet(rows, every)
