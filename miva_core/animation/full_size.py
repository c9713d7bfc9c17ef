"""Frames made of the original picture, moved by the flow that a base predicts: at any size, and as sharp as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from ..bases.base import Base
from ..diffusion.loop import Sampled
from ..errors import MIVAError
from ..motion_fields.motions import MOTIONS, spoken
from ..rendering.timing import flow_times
from ..rendering.view import View
from ..rendering.window import Edges
from .frame_strengths import asked_ways
from .motion import Motion, adapters_among
from .notes import mask_notes, scene_notes, sight_notes, time_notes
from .options import RunOptions
from .rows import Row
from .said import Said
from .shot import Shot, preview_size

if TYPE_CHECKING:
    from ..rendering.scene import Scene

_IN_DEPTH = {spoken(name) for name, motion in MOTIONS.items() if motion.kind == "depth"}
"""Films of which what is near moves by itself, and is to: no mask is missing."""


@dataclass(frozen=True, eq=False)
class FullSize(Shot):
    """An `Output` rendered of the original picture.

    The base sees all that the first frame is framed on, squashed to the size that it works at.

    Attributes:
        times: (N,) of the frames, in frames of the flow.
        unmasked: whether a motion of a subject, or of the whole frame at one depth, acts without a mask.
        subjects: names of the masks whose motion acts.
        asked: (F, m), ways that the camera was to take where its speed changes, see `asked_ways`.
    """

    times: np.ndarray
    unmasked: bool
    subjects: tuple[str, ...]
    asked: np.ndarray | None

    @classmethod
    def of(cls, base: Base, picture: Tensor, motions: Mapping[str, Motion | Said], options: RunOptions) -> FullSize:
        """Choose what a clip shows, how large and when; see `Shot.framed`."""
        shot, frames = Shot.framed(base, picture, motions, options), base.frames
        adapters = adapters_among(motions).values()
        return cls(
            **vars(shot),
            times=flow_times(shot.timing, frames, base.fps),
            unmasked=any(
                motion.acts and not motion.adapter.config.mask and motion.adapter.film not in _IN_DEPTH
                for motion in adapters
            ),
            subjects=tuple(name for name in shot.masks if motions[name].acts),
            asked=asked_ways(base, adapters, frames),
        )

    def __len__(self) -> int:
        return len(self.times)

    def part(self, rows: Sequence[Row]) -> FullSize:
        """See `Output`; it is the same for all."""
        return self

    def render(self, sampled: Sampled, masks: Mapping[str, Tensor]) -> tuple[Scene, list[str]]:
        """Render a clip; see `Output`. Where its subjects are is told by the flow, not by the masks beside it."""
        scene = self._scene(sampled, self.view, self.masks, self.edges)
        return scene, [*self.remarks, *self._notes(scene)]

    def _notes(self, scene: Scene) -> list[str]:
        """What is odd about what the flow has made of the picture, in sentences."""
        marked = {name: self.in_view(self.masks[name]).numpy() for name in self.subjects}
        moves, acts = not scene.layers.rests, bool(scene.moving) or scene.bends_ground
        return [
            *time_notes(self.times, self.conditioning.frames, self.rate, moves, acts, self.asked is not None),
            *scene_notes(scene.window.zoom, self.size_in_pixels, self.unmasked and scene.bends_ground),
            *sight_notes(scene.shares_seen(), self.fps),
            *mask_notes(marked, scene.moving),
        ]

    def preview(self, sampled: Sampled, frame: int) -> Tensor:
        """Render one frame, small and without layers; see `Output`.

        Where the camera leaves the picture, as it may on the way, what lies beyond is mirrored.
        """
        small = replace(self.view, size=preview_size(self.view.size))
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
