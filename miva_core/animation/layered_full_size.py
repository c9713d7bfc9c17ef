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
from ..motion_fields.motions import MotionField
from ..rendering.layered_motion import Carried, LayeredMotion, Parallax, Staying
from ..rendering.timing import ClipTimes
from ..rendering.view import View
from .captions import find_words
from .layer_functions import LayerFunctions, added
from .motion import Motion
from .options import RunOptions
from .rows import Row, layer_rows
from .said import Said
from .shot import Shot, preview_size

if TYPE_CHECKING:
    from ..rendering.scene import Scene

_SEEN = 0.25
"""Field units of displacement below which a layer that nobody asked for is none."""
_GUESSED = "moving part"
"""What is called so that a base moves by itself, without a mask."""


@dataclass(frozen=True, eq=False)
class LayeredFullSize(Shot):
    """An `Output` rendered of the original picture, whose layers move as the base says.

    Camera, depth and what is left are taken from the clip of all motions without a mask; of each other clip what its
    mask marks.

    Attributes:
        times: of the frames.
        rows: the clips that the base makes.
        fields: what is known of the motions with masks that are said, by name.
    """

    times: ClipTimes
    rows: tuple[Row, ...]
    fields: Mapping[str, MotionField | None]

    @classmethod
    def of(
        cls, base: Base, picture: Tensor, motions: Mapping[str, Motion | Said], options: RunOptions
    ) -> LayeredFullSize:
        """Choose what a clip shows, how large and when; see `Shot.framed`."""
        shot = Shot.framed(base, picture, motions, options)
        local = {name: one.text for name, one in motions.items() if isinstance(one, Said) and one.mask is not None}
        return cls(
            **vars(shot),
            times=ClipTimes.of(shot.timing, base.frames, base.fps),
            rows=tuple(layer_rows(motions)),
            fields={name: find_words(base, name, text)[0].field for name, text in local.items()},
        )

    def __len__(self) -> int:
        return len(self.times)

    def render(self, sampled: Sampled, masks: Mapping[str, Tensor]) -> tuple[Scene, list[str]]:
        """Render a clip; see `Output`."""
        scene = self._scene(sampled.layers, self.view)
        return scene, [*self.remarks, *self._told(scene, sampled.layers)]

    def preview(self, sampled: Sampled, frame: int) -> Tensor:
        """Render one frame, small; see `Output`. Where the camera leaves the picture, what lies beyond is mirrored."""
        small = replace(self.view, size=preview_size(self.view.size))
        return replace(self, edges="mirror")._scene(sampled.layers, small).frame(frame).pixels

    def _scene(self, layers: Sequence[FlowLayers], view: View) -> Scene:
        from ..rendering.scene import Scene

        if not layers:
            raise MIVAError("The base says that it predicts a flow in layers, but answered none.")
        return Scene.layered(self.picture, self.motion(layers), view, self.times, self.edges)

    def motion(self, layers: Sequence[FlowLayers]) -> LayeredMotion:
        """Put together what the clips of the base say.

        Args:
            layers: of each of `rows`, in their order.
        """
        (ground, *others), (_, *rows) = (LayerFunctions(one) for one in layers), self.rows
        staying, carried = self._guessed(ground)
        for row, functions in zip(rows, others, strict=True):
            marked = self._marked(row, functions)
            staying += [one for one in marked if isinstance(one, Staying)]
            carried += [one for one in marked if isinstance(one, Carried)]
        parallax = None
        if ground.moves_depth(self._last):
            parallax = Parallax(self._on_picture(ground.layers, "nearness", self.nearness), ground.seen)
        return LayeredMotion(ground.layers.size, ground.camera, parallax, staying, carried, ground.residual)

    def _marked(self, row: Row, functions: LayerFunctions) -> list[Staying | Carried]:
        """What moves in a clip whose motions have masks."""
        if row.masked is None:  # Motions with mask streams: each is where its mask is.
            return [Carried(name, self.masks[name].numpy(), functions.whole) for name in row.motions]
        name, mask, field = row.masked, self.masks[row.masked], self.fields.get(row.masked)
        if (field is not None and field.kind == "carried") or (field is None and self._carries(functions)):
            shape = self._on_picture(functions.layers, "hard_mask", mask)
            return [Carried(name, shape, functions.carried, field.period if field else None)]
        shape = self._on_picture(functions.layers, "soft_mask", mask)
        moving = functions.staying if field else added(functions.staying, functions.residual)
        behind = field is not None and field.period is None
        return [Staying(name, shape, moving, field.period if field else None, behind)]

    def _carries(self, functions: LayerFunctions) -> bool:
        """Whether a motion that no word stands for carries its subject along, rather than moving inside of it."""
        mask = functions.layers.soft_mask()[0].numpy()
        carried, staying = (
            functions.reach(displace, mask, self._moments)
            for displace in (functions.carried, added(functions.staying, functions.residual))
        )
        return carried > staying

    def _guessed(self, ground: LayerFunctions) -> tuple[list[Staying], list[Carried]]:
        """What moves where the base guesses that it does: smoothed, since it knows of edges to 2 units."""
        soft, hard = (self._on_picture(ground.layers, kind, None) for kind in ("soft_mask", "hard_mask"))
        small = ground.layers.soft_mask()[0].numpy(), ground.layers.hard_mask()[0].numpy()
        staying = ground.reach(ground.staying, small[0], self._moments) > _SEEN
        carried = ground.reach(ground.carried, small[1], self._moments) > _SEEN
        return (
            [Staying(_GUESSED, soft, ground.staying)] if staying else [],
            [Carried(_GUESSED, hard, ground.carried)] if carried else [],
        )

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
    def _last(self) -> float:
        return float(self.conditioning.frames - 1)

    @property
    def _moments(self) -> range:
        """Times at which layers are looked at."""
        return range(0, self.conditioning.frames, 3)

    def _told(self, scene: Scene, layers: Sequence[FlowLayers]) -> list[str]:
        """What is odd about what the layers have made of the picture, in sentences."""
        ...
        return []
