"""Frames made of the original picture, moved by the flow that a base predicts: at any size, and as sharp as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..bases.base import Base
from ..diffusion.loop import Sampled
from ..errors import MIVAError
from ..media.pictures import format_size
from ..rendering.timing import FPS, flow_times
from ..rendering.view import SMALLEST_SIDE, Size, View, choose_size
from ..rendering.window import Edges
from .frame_strengths import asked_ways
from .framing import Framing, describe_framing
from .masks import picture_masks, scale_mask, shows_subject
from .motion import Motion
from .notes import mask_notes, scene_notes, sight_notes, time_notes, view_notes
from .options import RunOptions, clip_timing, denoised_shape
from .output import Conditioning

if TYPE_CHECKING:
    from ..rendering.scene import Scene

_PREVIEW_SIDE = 512
"""Pixels of a preview's longer side at most: no more of it is shown, and a frame at full size takes seconds."""


@dataclass(frozen=True, eq=False)
class FullSize:
    """An `Output` rendered of the original picture.

    The base sees all that the first frame is framed on, squashed to the size that it works at.

    Attributes:
        picture: (H, W, 3) in [0, 1], padded where that was asked for.
        masks: (H, W) in [0, 1] of its subjects, by the name of the motion; the last one is on top.
        view: what the first frame shows of it.
        times: (N,) of the frames, in frames of the flow.
        edges: see `RunOptions`.
        fps: see `Clip`.
        conditioning: see `Output`.
        fitting: see `Clip`.
        unmasked: whether a motion acts without a mask.
        subjects: names of the masks whose motion acts.
        rate: frames a second of the flow.
        asked: (F, m), ways that the camera was to take where its speed changes, see `asked_ways`.
        remarks: what is odd about the size, in sentences.
    """

    picture: Tensor
    masks: Mapping[str, Tensor]
    view: View
    times: np.ndarray
    edges: Edges
    fps: float
    conditioning: Conditioning
    fitting: str
    unmasked: bool
    subjects: tuple[str, ...]
    rate: float
    asked: np.ndarray | None
    remarks: tuple[str, ...]

    @classmethod
    def of(cls, base: Base, picture: Tensor, motions: Mapping[str, Motion], options: RunOptions) -> FullSize:
        """Choose what a clip shows, how large and when.

        Args:
            base: that of the run; it predicts a flow.
            picture: (H, W, 3) in [0, 1].
            motions: by name.
            options: those of the run.

        Raises:
            MIVAError: the picture is too small, the size or length cannot be made, or masks are not those that the
                motions need.
        """
        read = (picture.shape[0], picture.shape[1])
        whole = options.size_in_file or read
        if min(read) < SMALLEST_SIDE:
            raise MIVAError(f"The picture is {format_size(read)}: each side must have at least {SMALLEST_SIDE} pixels.")
        size = choose_size(options.asked_size, whole, min(base.size))
        (frames, small), timing = denoised_shape(base, options), clip_timing(options)
        times = flow_times(timing, frames, base.fps)
        framing = Framing.of(read, size, options.fit)
        source = framing.to_source(picture)
        masks = {
            name: _subject(name, framing.to_source(scale_mask(mask, read)[..., None]), framing, small)
            for name, mask in picture_masks(motions, whole).items()
        }
        return cls(
            # Copies, since frames are rendered when they are asked for, and what was given may have changed by then.
            picture=source.clone(),
            masks={name: mask[..., 0].clone() for name, mask in masks.items()},
            view=framing.view,
            times=times,
            edges=options.edges,
            fps=timing.fps or FPS,
            conditioning=Conditioning(
                framing.squashed(source, small),
                {name: framing.squashed(mask, small)[..., 0] for name, mask in masks.items()},
                frames,
            ),
            fitting=describe_framing(whole, size, options.fit),
            unmasked=any(motion.acts and not motion.adapter.config.mask for motion in motions.values()),
            subjects=tuple(name for name in masks if motions[name].acts),
            rate=base.fps,
            asked=asked_ways(base, motions.values(), frames),
            remarks=tuple(view_notes(options.asked_size, whole, size, base.size)),
        )

    def __len__(self) -> int:
        return len(self.times)

    def render(self, sampled: Sampled, masks: Mapping[str, Tensor]) -> tuple[Scene, list[str]]:
        """Render a clip; see `Output`. Where its subjects are is told by the flow, not by the masks beside it."""
        scene = self._scene(sampled, self.view, self.masks, self.edges)
        return scene, [*self.remarks, *self._told(scene)]

    def _told(self, scene: Scene) -> list[str]:
        """What is odd about what the flow has made of the picture, in sentences."""
        top, left, height, width = self.view.box
        marked = {name: scene.masks[name][top : top + height, left : left + width] for name in self.subjects}
        picture = (self.picture.shape[0], self.picture.shape[1])
        moves, acts = not scene.layers.rests, bool(scene.moving) or scene.bends_ground
        return [
            *time_notes(self.times, self.conditioning.frames, self.rate, moves, acts, self.asked is not None),
            *scene_notes(scene.window.zoom, picture, self.unmasked and scene.bends_ground),
            *sight_notes(scene.shares_seen(), self.fps),
            *mask_notes(marked, scene.moving),
        ]

    def preview(self, sampled: Sampled, frame: int) -> Tensor:
        """Render one frame, small and without layers; see `Output`.

        Where the camera leaves the picture, as it may on the way, what lies beyond is mirrored.
        """
        small = replace(self.view, size=_preview_size(self.view.size))
        try:
            scene = self._scene(sampled, small, {}, self.edges)
        except MIVAError:
            # Only "inside" asks how far the camera goes: all other reasons are raised once more.
            scene = self._scene(sampled, small, {}, "mirror")
        return scene.frame(frame).pixels

    def _scene(self, sampled: Sampled, view: View, masks: Mapping[str, Tensor], edges: Edges) -> Scene:
        from ..rendering.scene import Scene

        if sampled.flow is None:
            raise MIVAError("The base says that it predicts a flow, but answered none.")
        return Scene.of(self.picture, sampled.flow[0].float().cpu(), masks, view, self.times, edges, self.asked)


def _preview_size(size: Size) -> Size:
    """The (height, width) of a clip, scaled down where it is larger than previews are."""
    scale = min(1.0, _PREVIEW_SIDE / max(size))
    return max(2, round(size[0] * scale / 2) * 2), max(2, round(size[1] * scale / 2) * 2)


def _subject(name: str, mask: Tensor, framing: Framing, small: tuple[int, int]) -> Tensor:
    """A mask (H, W, 1) of the source; all of it where the base would see nothing of the subject."""
    seen = shows_subject(name, mask[..., 0], framing.squashed(mask, small)[..., 0])
    return mask if seen else torch.ones_like(mask)
