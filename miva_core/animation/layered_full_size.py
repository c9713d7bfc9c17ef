"""Frames made of the original picture, moved by the layers that a base answers its flow in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..bases.base import Base
from ..diffusion.flow_layers import FlowLayers
from ..diffusion.loop import Sampled
from ..errors import MIVAError
from ..rendering.layered_motion import CameraPath, Carried, Displacement, LayeredMotion, Parallax, Staying
from ..rendering.timing import ClipTimes
from ..rendering.view import View
from .captions import find_words, last_pace
from .frame_strengths import frame_shares
from .layer_functions import LayerFunctions, added
from .motion import Motion
from .notes import scene_notes, sight_notes
from .options import RunOptions
from .rows import Row, layer_rows
from .said import Said
from .shot import Shot, preview_size

if TYPE_CHECKING:
    from ..rendering.scene import Scene

_SEEN = 0.25
"""Field units of displacement below which a layer that nobody asked for is none."""
_GUESSED_REGION, _GUESSED_SUBJECT = "moving region", "moving subject"
"""What is called so that a base moves by itself, without a mask."""


@dataclass(frozen=True, eq=False)
class LayeredFullSize(Shot):
    """An `Output` rendered of the original picture, whose layers move as the base says.

    Camera, depth and what is left are taken from the clip of all motions without a mask; of each other clip what its
    mask marks.

    Attributes:
        times: of the frames.
        rows: the clips that the base makes.
        base: that of the run.
    """

    times: ClipTimes
    rows: tuple[Row, ...]
    base: Base

    @classmethod
    def of(
        cls, base: Base, picture: Tensor, motions: Mapping[str, Motion | Said], options: RunOptions
    ) -> LayeredFullSize:
        """Choose what a clip shows, how large and when; see `Shot.framed`."""
        shot = Shot.framed(base, picture, motions, options)
        times = ClipTimes.of(shot.timing, base.frames, base.fps)
        return cls(**vars(shot), times=times, rows=tuple(layer_rows(motions)), base=base)

    def __len__(self) -> int:
        return len(self.times)

    def render(self, sampled: Sampled, masks: Mapping[str, Tensor]) -> tuple[Scene, list[str]]:
        """Render a clip; see `Output`."""
        scene = self._scene(sampled.layers, self.view)
        return scene, [*self.remarks, *self._notes(scene)]

    def preview(self, sampled: Sampled, frame: int) -> Tensor:
        """Render one frame, small; see `Output`. Where the camera leaves the picture, what lies beyond is mirrored."""
        small = replace(self.view, size=preview_size(self.view.size))
        return replace(self, edges="mirror")._scene(sampled.layers, small).frame(frame).pixels

    def _scene(self, layers: Sequence[FlowLayers], view: View) -> Scene:
        from ..rendering.scene import Scene

        if not layers:
            raise MIVAError("The base says that it predicts a flow in layers, but answered none.")
        return Scene.layered(self.picture, self.motion(layers), view, self.times, self.edges)

    def part(self, rows: Sequence[Row]) -> LayeredFullSize:
        """See `Output`."""
        return replace(self, rows=tuple(rows))

    def motion(self, layers: Sequence[FlowLayers]) -> LayeredMotion:
        """Put together what the clips of the base say.

        Args:
            layers: of each of `rows`, in their order.
        """
        clips = [(row, self._functions(row, one)) for row, one in zip(self.rows, layers, strict=True)]
        marked = [part for row, functions in clips if not row.whole for part in self._marked(row, functions)]
        marked.sort(key=lambda part: list(self.masks).index(part.name))
        whole = next((functions for row, functions in clips if row.whole), None)
        if whole is None:
            return _layered(layers[0].size, lambda time: np.eye(2, 3), marked)
        parts = [*self._guessed(whole), *marked]
        parallax = None
        if whole.moves_depth:
            parallax = Parallax(self._on_picture(whole.layers, "nearness", self.nearness), whole.seen)
        residual = whole.residual if whole.is_bent else None
        return _layered(whole.layers.size, whole.camera, parts, parallax, residual)

    def _functions(self, row: Row, layers: FlowLayers) -> LayerFunctions:
        frames = self.conditioning.frames
        return LayerFunctions(layers.cpu(), frames - 1.0, last_pace(self.base, row.said, frame_shares(frames)))

    def _marked(self, row: Row, functions: LayerFunctions) -> list[Staying | Carried]:
        """What moves in a clip whose motions have masks."""
        if row.masked is None:  # Motions with mask streams: each is where its mask is.
            return [Carried(name, self.masks[name].numpy(), functions.whole) for name in row.motions]
        name, mask = row.masked, self.masks[row.masked]
        words = [word for label, one in row.said.items() for word in find_words(self.base, label, one.text)]
        field = words[0].field if words else None
        if (field is not None and field.kind == "carried") or (field is None and self._carries(functions)):
            shape = self._on_picture(functions.layers, "hard_mask", mask)
            return [Carried(name, shape, functions.carried, field.period if field else None)]
        shape = self._on_picture(functions.layers, "soft_mask", mask)
        moving = functions.staying if field else added(functions.staying, functions.residual)
        behind = field is not None and field.goes_under
        return [Staying(name, shape, moving, field.period if field else None, behind)]

    def _carries(self, functions: LayerFunctions) -> bool:
        """Whether a motion that no word stands for carries its subject along, rather than moving inside of it."""
        mask = functions.layers.soft_mask()[0].numpy()
        carried, staying = (
            functions.reach(displace, mask, self._moments)
            for displace in (functions.carried, added(functions.staying, functions.residual))
        )
        return carried > staying

    def _guessed(self, whole: LayerFunctions) -> list[Staying | Carried]:
        """What moves without a mask, where the base guesses that it does; it knows of edges to 2 units."""
        parts: list[Staying | Carried] = []
        if whole.reach(whole.staying, whole.layers.soft_mask()[0].numpy(), self._moments) > _SEEN:
            parts.append(Staying(_GUESSED_REGION, self._on_picture(whole.layers, "soft_mask", None), whole.staying))
        if whole.reach(whole.carried, whole.layers.hard_mask()[0].numpy(), self._moments) > _SEEN:
            parts.append(Carried(_GUESSED_SUBJECT, self._on_picture(whole.layers, "hard_mask", None), whole.carried))
        return parts

    def _on_picture(
        self, layers: FlowLayers, kind: Literal["soft_mask", "hard_mask", "nearness"], guide: Tensor | None
    ) -> np.ndarray:
        """A mask of one clip, or how near its places are, (H, W) of the picture, with the edges of its guide.

        Args:
            layers: of the clip.
            kind: what is asked for.
            guide: (H, W) of the picture; None where there is none.
        """
        box = self.view.box[2:]
        at = torch.zeros(1, *box) if guide is None else self.in_view(guide)[None]
        seen = getattr(layers, kind)(at)[0].float().cpu()
        return self._around(seen, guide)

    def _around(self, seen: Tensor, guide: Tensor | None) -> np.ndarray:
        """A plane of the view's box on the picture: around it is the guide itself, or what is at the box's edge."""
        top, left, height, width = self.view.box
        down, right = self.picture.shape[0] - top - height, self.picture.shape[1] - left - width
        whole = (
            F.pad(seen[None, None], (left, right, top, down), mode="replicate")[0, 0]
            if guide is None
            else guide.clone()
        )
        self.in_view(whole).copy_(seen)
        return whole.numpy()

    @property
    def _moments(self) -> range:
        """Times at which layers are looked at."""
        return range(0, self.conditioning.frames, 3)

    def _notes(self, scene: Scene) -> list[str]:
        """What is odd about what the layers have made of the picture, in sentences."""
        return [
            *scene_notes(scene.window.zoom, self.size_in_pixels, False),
            *sight_notes(scene.shares_seen(), self.fps),
        ]


def _layered(
    grid: tuple[int, int],
    camera: CameraPath,
    parts: Sequence[Staying | Carried],
    parallax: Parallax | None = None,
    residual: Displacement | None = None,
) -> LayeredMotion:
    staying = [part for part in parts if isinstance(part, Staying)]
    return LayeredMotion(
        grid, camera, parallax, staying, [part for part in parts if isinstance(part, Carried)], residual
    )
