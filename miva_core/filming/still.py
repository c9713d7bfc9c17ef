"""Stills to be filmed, with the maps that some motions need of them."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from ..checks import printable
from ..clips.skipped import shorten_list, visible_entries
from ..clips.stills import find_depth, find_stills, is_still, read_pictures
from ..errors import MIVAError, MIVAWarning
from ..media.guessed_nearness import lower_half_near
from ..media.nearness import check_nearness, nearness_notes
from ..media.pictures import format_size, read_mask, read_picture, same_aspect, scale_picture
from ..motion_fields.motions import MotionField, spoken

_SMALLEST, _LARGEST = 1e-3, 0.98
"""Shares of a still between which a region has something in it, and something around it."""


@dataclass(frozen=True, eq=False)
class Still:
    """A still with its maps.

    Attributes:
        name: of its file.
        picture: (H, W, 3) in [0, 1].
        mask: (H, W) in [0, 1], white where something moves by itself; None where nothing does.
        nearness: (H, W) in [0, 1], 1 is nearest; None where nobody knows.
    """

    name: str
    picture: Tensor
    mask: Tensor | None = None
    nearness: Tensor | None = None

    def with_mask(self, mask: Tensor) -> "Still":
        """The same with a mask (h, w) in [0, 1] of its aspect.

        Raises:
            MIVAError: the mask is of another aspect, empty or everywhere.
        """
        size = self.picture.shape[0], self.picture.shape[1]
        if not same_aspect(size, (mask.shape[0], mask.shape[1])):
            raise MIVAError(
                f"The mask of {printable(self.name)} is {format_size(mask.shape)}, of another aspect than the still, "
                f"{format_size(size)}: make it of the still itself."
            )
        fitted = scale_picture(mask[..., None], size)[..., 0]
        share = (fitted > 0.5).float().mean().item()
        if share <= _SMALLEST:
            raise MIVAError(f"The mask of {printable(self.name)} is empty: paint white what is to move.")
        if share >= _LARGEST:
            raise MIVAError(
                f"The mask of {printable(self.name)} is the whole picture: paint white only what is to move."
            )
        return replace(self, mask=fitted)

    def with_depth(self, depth: Tensor) -> "Still":
        """The same with a depth map (h, w) or (h, w, C) in [0, 1] of its aspect, white where it is near.

        A `MIVAWarning` says where it seems to be inverted.

        Raises:
            MIVAError: it is of another aspect, flat, or a picture in colours.
        """
        planes = depth if depth.ndim == 3 else depth[..., None]
        size = self.picture.shape[0], self.picture.shape[1]
        if same_aspect(size, (planes.shape[0], planes.shape[1])):
            planes = scale_picture(planes, size)
        nearness = check_nearness(planes, size, f"The depth map of {printable(self.name)}")
        for note in nearness_notes(nearness):
            warnings.warn(f"{printable(self.name)}: {note}", MIVAWarning, stacklevel=2)
        return replace(self, nearness=nearness)


def read_mapped_stills(
    folder: Path, motion: MotionField, needed_side: int, depth_folder: Path | None = None
) -> list[Still]:
    """Read the stills of a folder, with the maps that a motion uses.

    The mask of `still.jpg` is `still_mask.png`, its depth map `still_depth.png`, both next to it.

    Args:
        folder: the folder.
        motion: that is to be filmed.
        needed_side: pixels that suffice along the shorter side, see `read_large_picture`.
        depth_folder: another one, which holds the depth maps, called as the stills or as above.

    Raises:
        MIVAError: as from `read_stills`, or a map is of no use; all of these are named.
    """
    masks = find_stills(folder)
    stills = [Still(*read) for read in read_pictures(list(masks), needed_side)]
    if motion.needs == "mask" or motion.kind == "shake":
        return _each(stills, list(masks.values()), lambda still, file: still.with_mask(read_mask(file)))
    if motion.needs == "nearness":
        depths = _depths_of_all(list(masks), depth_folder or folder)
        return _each(stills, depths, lambda still, file: still.with_depth(read_picture(file)))
    return stills


def with_needed_maps(stills: Sequence[Still], motion: MotionField) -> list[Still]:
    """Stills with just those maps that a motion needs.

    A shake is one of regions where there are masks. Where nobody knows the depth the lower half is taken to be near; a
    `MIVAWarning` says so.

    Raises:
        MIVAError: a mask is missing.
    """
    if motion.needs == "mask" or (motion.kind == "shake" and any(still.mask is not None for still in stills)):
        without = [printable(still.name) for still in stills if still.mask is None]
        if without:
            raise MIVAError(
                f"For {spoken(motion.name)} each still needs a mask, white where something is to move; there is "
                f"none of {shorten_list(without)}: put still_mask.png beside still.jpg, or connect one."
            )
        return [replace(still, nearness=None) for still in stills]
    unmasked = [replace(still, mask=None) for still in stills]
    return _with_depth(unmasked) if motion.needs == "nearness" else unmasked


def _with_depth(stills: Sequence[Still]) -> list[Still]:
    """Stills with depth, guessed where nobody knows it."""
    unknown = [printable(still.name) for still in stills if still.nearness is None]
    if unknown:
        which = "the stills" if len(unknown) == len(stills) else shorten_list(unknown)
        warnings.warn(
            f"There is no depth map of {which}: their lower half is taken to be near.", MIVAWarning, stacklevel=3
        )
    return [
        replace(still, nearness=lower_half_near(still.picture.shape[0], still.picture.shape[1]))
        if still.nearness is None
        else still
        for still in stills
    ]


def _depths_of_all(stills: Sequence[Path], folder: Path) -> list[Path | None]:
    """The depth map of each still, in its folder or in one of depth maps alone."""
    if not folder.is_dir():
        raise MIVAError(f"{folder} is no folder: name one that holds depth maps.")
    maps = list(filter(is_still, visible_entries(folder)))
    named = {path.stem.lower(): path for path in maps if path not in stills}
    return [find_depth(path, maps) or named.get(path.stem.lower()) for path in stills]


def _each(stills: Sequence[Still], files: Sequence[Path | None], fit: Callable[[Still, Path], Still]) -> list[Still]:
    """Stills with what is in their files; all that is wrong with these is told at once."""
    fitted, problems = [], []
    for still, file in zip(stills, files, strict=True):
        try:
            fitted.append(fit(still, file) if file else still)
        except MIVAError as error:
            problems.append(str(error))
    if problems:
        raise MIVAError(" ".join(problems))
    return fitted
