"""A picture that moves: built once, and any frame of it rendered when it is asked for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from ..errors import MIVAError
from .background import fill_hole, hole_around
from .compositing import Layers
from .frame import SceneFrame
from .ground import Ground, MovingGround, StillGround
from .layer_motion import fit_motions
from .sampling import Region, sample
from .source import crop, fitted, seen_source
from .sprite import cut_sprite
from .staging import Staging
from .view import View
from .window import EDGES, Edges, Window, window_inside

_LEAST, _MOST = 1e-4, 0.98
"""Shares of a view that a mask covers so that there is both a subject and a ground."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture with all that is needed to render any frame of its clip; made by `Scene.of`.

    `len(scene)` is the number of frames. Iterating renders one after another and keeps none.

    Attributes:
        view: what frame 1 is framed on.
        times: (N,) in frames of the flow.
        window: the part of the view that the clip shows.
        bends_ground: whether something of the ground moves by itself: a subject that no mask names.
        picture: (H, W, 3).
        masks: (H, W) by the name of the subject.
        staging: where each layer is at any time.
        layers: what is there.
    """

    view: View
    times: np.ndarray
    window: Window
    bends_ground: bool
    picture: np.ndarray
    masks: Mapping[str, np.ndarray]
    staging: Staging
    layers: Layers

    @classmethod
    def of(
        cls,
        picture: Tensor,
        flow: Tensor,
        masks: Mapping[str, Tensor],
        view: View,
        times: Sequence[float] | np.ndarray,
        edges: Edges = "inside",
    ) -> "Scene":
        """Build the scene of a picture that moves by a flow.

        Args:
            picture: (H, W, 3) float in [0, 1].
            flow: (F, 2, h, w) backward flow in pixels of its grid, which covers the view's box: pixel p of frame i
                shows what was at p + flow in frame 1.
            masks: (H, W) in [0, 1] of the picture, by the name of the subject; the last is in front of the others.
                Subjects without a mask are part of the ground.
            view: what frame 1 is framed on.
            times: of the frames, from 0 in frames of the flow; see `flow_times`.
            edges: "inside" shows no more than a part of the view, if need be, so that nothing from beyond the picture
                is ever seen; "mirror" shows all of the view, and the picture mirrored beyond its edge.

        Returns:
            The scene.

        Raises:
            MIVAError: the edges are unknown, or the camera leaves the picture too far for "inside".
        """
        if edges not in EDGES:
            raise MIVAError(f"The edges are {edges!r}, expected one of {', '.join(EDGES)}.")
        pixels, planes = _array(picture), {name: _array(mask) for name, mask in masks.items()}
        boxed = {name: crop(mask, view.box) for name, mask in planes.items()}
        camera, subjects = fit_motions(
            np.ascontiguousarray(_array(flow).transpose(0, 2, 3, 1)),
            {name: mask for name, mask in boxed.items() if _is_subject(mask)},
        )
        moments = np.asarray(times, dtype=np.float64)
        size = (pixels.shape[0], pixels.shape[1])
        window = Window()
        if edges == "inside":
            window = window_inside([camera.path.matrix(time, view.size) for time in moments], view, size)
        staging = Staging(view.size, window, camera, subjects)
        layers = _layers(pixels, planes, staging, view, moments)
        return cls(view, moments, window, camera.residual is not None, pixels, planes, staging, layers)

    def __len__(self) -> int:
        return len(self.times)

    def __iter__(self) -> Iterator[SceneFrame]:
        return (self.frame(i) for i in range(len(self)))

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the clip."""
        return self.view.size

    def frame(self, i: int) -> SceneFrame:
        """Render a frame; the one at time 0 is the fitted picture, bit for bit, where the window is the whole view."""
        if self.times[i] == 0 and self.window.whole:
            pixels, masks = self._fitted(self.picture), {name: self._fitted(mask) for name, mask in self.masks.items()}
        else:
            pixels, masks = self.layers.composite(self.staging, self.times[i])
        return SceneFrame(torch.from_numpy(pixels), {name: torch.from_numpy(mask) for name, mask in masks.items()})

    def _fitted(self, plane: np.ndarray) -> np.ndarray:
        return fitted(crop(plane, self.view.box), self.size)


def _array(values: Tensor) -> np.ndarray:
    return values.detach().cpu().float().numpy()


def _is_subject(mask: np.ndarray) -> bool:
    return bool(_LEAST < (mask > 0.5).mean() < _MOST)


def _layers(
    picture: np.ndarray, masks: Mapping[str, np.ndarray], staging: Staging, view: View, times: np.ndarray
) -> Layers:
    """Cut a picture into its layers, as finely as frames show them."""
    source = seen_source(view, (picture.shape[0], picture.shape[1]), *staging.reach(times))
    from_view, pixels = source.from_view(), source.taken(picture)
    taken = {name: source.taken(mask) for name, mask in masks.items()}
    hole = np.zeros(pixels.shape[:2], dtype=bool)
    for name in staging.subjects:
        hole |= hole_around(taken[name])
    plate = fill_hole(pixels, hole)
    sprites = {name: cut_sprite(pixels, taken[name], plate, from_view) for name in staging.subjects}
    ground: Ground = MovingGround(pixels, plate, from_view, view.size)
    if staging.camera.path.at_rest and staging.camera.residual is None:
        ground = _still(ground, hole, staging, fitted(crop(picture, view.box), view.size))
    return Layers(ground, sprites, taken, from_view)


def _still(ground: MovingGround, hole: np.ndarray, staging: Staging, picture: np.ndarray) -> StillGround:
    """The one frame of ground that a camera at rest shows: the fitted picture wherever no subject was."""
    place, region = staging.ground(0), Region(0, 0, ground.size[1], ground.size[0])
    covered = sample(hole.astype(np.float32), ground.from_view, place, region, cv2.BORDER_REPLICATE) > 0
    return StillGround(picture, np.where(covered[..., None], ground.without_subjects(place), picture))
