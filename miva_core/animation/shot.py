"""What a clip at full size shows of its picture, how large and when, whoever moves it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..bases.base import Base
from ..errors import MIVAError
from ..media.nearness import check_nearness
from ..media.pictures import format_size
from ..rendering.timing import FPS, Timing
from ..rendering.view import SMALLEST_SIDE, Size, View, choose_size
from ..rendering.window import Edges
from .conditioning import Conditioning
from .framing import Framing, describe_framing
from .masks import check_seen, picture_masks, scale_mask, shows_subject
from .motion import Motion
from .notes import view_notes
from .options import RunOptions, clip_timing, denoised_shape
from .said import Said

_PREVIEW_SIDE = 512
"""Pixels of a preview's longer side at most: no more of it is shown, and a frame at full size takes seconds."""


@dataclass(frozen=True, eq=False)
class Shot:
    """A picture framed for a clip at full size.

    Attributes:
        picture: (H, W, 3) in [0, 1], padded where that was asked for.
        masks: (H, W) in [0, 1] of its subjects, by the name of the motion; the last one is on top.
        nearness: (H, W) in [0, 1], where a depth map is given.
        view: what the first frame shows of it.
        timing: of the clip.
        edges: see `RunOptions`.
        conditioning: see `Output`.
        fitting: see `Clip`.
        rate: frames a second of the flow.
        remarks: what is odd about the size, in sentences.
    """

    picture: Tensor
    masks: Mapping[str, Tensor]
    nearness: Tensor | None
    view: View
    timing: Timing
    edges: Edges
    conditioning: Conditioning
    fitting: str
    rate: float
    remarks: tuple[str, ...]

    @classmethod
    def framed(cls, base: Base, picture: Tensor, motions: Mapping[str, Motion | Said], options: RunOptions) -> Shot:
        """Choose what a clip shows, how large and when.

        Args:
            base: that of the run; it predicts a flow.
            picture: (H, W, 3) in [0, 1].
            motions: by name.
            options: those of the run.

        Raises:
            MIVAError: the picture is too small, the size or length cannot be made, or masks or the depth map are not
                those that are needed.
        """
        read = (picture.shape[0], picture.shape[1])
        whole = options.size_in_file or read
        if min(read) < SMALLEST_SIDE:
            raise MIVAError(f"The picture is {format_size(read)}: each side must have at least {SMALLEST_SIDE} pixels.")
        size = choose_size(options.asked_size, whole, min(base.size))
        frames, small = denoised_shape(base, options, whole)
        framing = Framing.of(read, size, options.fit)
        source = framing.to_source(picture)
        masks = {
            name: _subject(motions[name], name, framing.to_source(scale_mask(mask, read)[..., None]), framing, small)
            for name, mask in picture_masks(motions, whole).items()
        }
        nearness = _nearness(options, whole, framing, read)
        return cls(
            # Copies, since frames are rendered when they are asked for, and what was given may have changed by then.
            picture=source.clone(),
            masks={name: mask[..., 0].clone() for name, mask in masks.items()},
            nearness=None if nearness is None else nearness[..., 0].clone(),
            view=framing.view,
            timing=clip_timing(options),
            edges=options.edges,
            conditioning=Conditioning(
                framing.squashed(source, small),
                {name: framing.squashed(mask, small)[..., 0] for name, mask in masks.items()},
                frames,
                None if nearness is None else framing.squashed(nearness, small)[..., 0],
            ),
            fitting=describe_framing(whole, size, options.fit),
            rate=base.fps,
            remarks=tuple(view_notes(options.asked_size, whole, size, min(base.size))),
        )

    @property
    def fps(self) -> float:
        """See `Clip`."""
        return self.timing.fps or FPS

    @property
    def size_in_pixels(self) -> Size:
        """(height, width) of the picture."""
        return self.picture.shape[0], self.picture.shape[1]

    def in_view(self, plane: Tensor) -> Tensor:
        """What the first frame shows of a plane (H, W) of the picture."""
        top, left, height, width = self.view.box
        return plane[top : top + height, left : left + width]


def preview_size(size: Size) -> Size:
    """The (height, width) of a clip, scaled down where it is larger than previews are."""
    scale = min(1.0, _PREVIEW_SIDE / max(size))
    return max(2, round(size[0] * scale / 2) * 2), max(2, round(size[1] * scale / 2) * 2)


def _subject(motion: Motion | Said, name: str, mask: Tensor, framing: Framing, small: Size) -> Tensor:
    """A mask (H, W, 1) of the source; of an adapter all of it where the base would see nothing of the subject."""
    seen = framing.squashed(mask, small)[..., 0]
    if isinstance(motion, Said):
        check_seen(name, seen)
        return mask
    return mask if shows_subject(name, mask[..., 0], seen) else torch.ones_like(mask)


def _nearness(options: RunOptions, whole: Size, framing: Framing, read: Size) -> Tensor | None:
    """The depth map (H, W, 1) of the source, where one is given."""
    if options.nearness is None:
        return None
    nearness = check_nearness(options.nearness, whole)
    return framing.to_source(scale_mask(nearness, read)[..., None])
