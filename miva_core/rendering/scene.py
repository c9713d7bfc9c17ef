"""A picture that moves: built once, and any frame of it rendered when it is asked for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile

import numpy as np
import torch
from torch import Tensor

from ..errors import MIVAError
from ..media.pictures import format_size
from .compositing import StagedLayers
from .frame import SceneFrame
from .layer_motion import Motions, fit_motions
from .layered_cut import LayerCutter
from .layered_frames import LayeredFrames
from .layered_motion import LayeredMotion, masks_of, with_nearness_of
from .layered_staging import LayeredStaging
from .layering import cut_layers
from .source import crop, fitted
from .staging import Staging
from .timing import ClipTimes
from .view import LARGEST_SUBJECT, View
from .window import EDGES, Edges, Window, picture_in_view, shares_seen, window_inside

_SMALLEST_SUBJECT = 1e-4
"""Share of a view that a mask covers at least, so that there is a subject."""


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
        layers: what is there, and where in each frame.
    """

    view: View
    times: np.ndarray
    window: Window
    bends_ground: bool
    picture: np.ndarray
    masks: Mapping[str, np.ndarray]
    layers: StagedLayers | LayeredFrames

    @classmethod
    def of(
        cls,
        picture: Tensor,
        flow: Tensor,
        masks: Mapping[str, Tensor],
        view: View,
        times: Sequence[float] | np.ndarray,
        edges: Edges = "inside",
        asked: np.ndarray | None = None,
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
            asked: (F, m), ways that the camera was to take where its speed changes, see `steady_camera`.

        Returns:
            The scene.

        Raises:
            MIVAError: something above has another form, or the camera leaves the picture too far for "inside".
        """
        _check_flow(flow)
        _check(picture, masks, view, np.asarray(times), edges)
        boxed = {name: crop(_array(mask), view.box) for name, mask in masks.items()}
        motions = fit_motions(
            np.ascontiguousarray(_array(flow).transpose(0, 2, 3, 1)),
            {name: mask for name, mask in boxed.items() if is_subject(mask)},
            asked,
        )
        return cls.moved(picture, motions, masks, view, times, edges)

    @classmethod
    def moved(
        cls,
        picture: Tensor,
        motions: Motions,
        masks: Mapping[str, Tensor],
        view: View,
        times: Sequence[float] | np.ndarray,
        edges: Edges = "inside",
    ) -> "Scene":
        """Build the scene of a picture whose motions are known; as `Scene.of`, which finds them in a flow.

        Args:
            picture: as in `of`.
            motions: of the ground, and of those masks that show a subject, see `is_subject`.
            masks: as in `of`.
            view: as in `of`.
            times: as in `of`.
            edges: as in `of`.
        """
        moments = np.asarray(times, dtype=np.float64)
        _check(picture, masks, view, moments, edges)
        pixels, planes = _array(picture), {name: _array(mask) for name, mask in masks.items()}
        camera, subjects = motions
        window, within = Window(), None
        if edges == "inside":
            cameras = [camera.path.matrix(time, view.size) for time in moments]
            window = window_inside(cameras, view, (pixels.shape[0], pixels.shape[1]))
            within = picture_in_view(view, (pixels.shape[0], pixels.shape[1]))
        # What rests behind all that moves is part of the ground; what it moves behind hides it.
        layered = dict(dropwhile(lambda item: item[1].rests, subjects.items()))
        staging = Staging(view.size, window, camera, layered, within)
        layers = StagedLayers(cut_layers(pixels, planes, view, staging, moments), staging, moments)
        return cls(view, moments, window, camera.residual is not None, pixels, planes, layers)

    @classmethod
    def layered(
        cls,
        picture: Tensor,
        motion: LayeredMotion,
        view: View,
        times: ClipTimes,
        edges: Edges = "inside",
        front: Tensor | None = None,
    ) -> "Scene":
        """Build the scene of a picture whose layers move by displacements of their own.

        Args:
            picture: as in `of`.
            motion: of all layers.
            view: as in `of`; `motion.grid` covers its box.
            times: of the frames.
            edges: as in `of`, for camera and depth.
            front: (H, W) in [0, 1] of the picture: what stands before everything that moves. It moves with the camera
                alone; nothing is taken from under it, and it hides what passes behind.

        Raises:
            MIVAError: something above has another form, or the camera leaves the picture too far for "inside".
        """
        pixels, planes, motion = _array(picture), masks_of(motion), with_nearness_of(motion, picture.shape)
        given = {name: torch.from_numpy(mask) for name, mask in planes.items()}
        before = {} if front is None else {"what is in front": front}
        _check(picture, given | before, view, times.eased, edges)
        size, window = (pixels.shape[0], pixels.shape[1]), Window()
        if edges == "inside":
            window = window_inside(LayeredStaging(view.size, window, motion, times).cameras(), view, size)
        staging = LayeredStaging(view.size, window, motion, times)
        layers = LayerCutter.of(pixels, staging, view).cut(pixels, None if front is None else _array(front))
        return cls(view, times.eased, window, motion.residual is not None, pixels, planes, layers)

    def __len__(self) -> int:
        return len(self.times)

    def __iter__(self) -> Iterator[SceneFrame]:
        return (self.frame(i) for i in range(len(self)))

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the clip."""
        return self.view.size

    def shares_seen(self) -> np.ndarray:
        """How much each frame sees of the picture: (N, 2), see `window.shares_seen`."""
        picture, frames = (self.picture.shape[0], self.picture.shape[1]), range(len(self))
        return np.array([shares_seen(self.layers.camera(i), self.window, self.view, picture) for i in frames])

    @property
    def moving(self) -> tuple[str, ...]:
        """The names of the subjects that move over the ground."""
        return self.layers.moving

    def frame(self, i: int) -> SceneFrame:
        """Render a frame; the one at time 0 is the fitted picture, bit for bit, where the window is the whole view."""
        if self.layers.starts(i) and self.window.whole:
            pixels, masks = self._fitted(self.picture), {name: self._fitted(mask) for name, mask in self.masks.items()}
        else:
            pixels, drawn = self.layers.composite(i)
            # In one order in all frames, whichever is drawn first.
            masks = {name: drawn[name] for name in self.masks if name in drawn}
        return SceneFrame(torch.from_numpy(pixels), {name: torch.from_numpy(mask) for name, mask in masks.items()})

    def invented(self, i: int, shown: Mapping[str, Tensor]) -> Tensor:
        """Find what of a frame the picture does not show: (H, W), in [0, 1]; of a scene whose motions are fitted alone.

        Args:
            i: of the frame.
            shown: its masks, see `SceneFrame`.
        """
        assert isinstance(self.layers, StagedLayers)  # Nobody repaints what displacements uncover.
        masks = {name: mask.numpy() for name, mask in shown.items()}
        return torch.from_numpy(self.layers.invented(i, masks))

    def _fitted(self, plane: np.ndarray) -> np.ndarray:
        # A copy, since a plane of that very size would be the caller's own.
        return fitted(crop(plane, self.view.box), self.size).copy()


def _check_flow(flow: Tensor) -> None:
    """Raise a MIVAError where this is no flow."""
    if flow.ndim != 4 or flow.shape[1] != 2 or not flow.numel():
        raise MIVAError(
            f"The flow that moves the picture has the shape {tuple(flow.shape)}, expected (frames, 2, height, width)."
        )
    if not flow.isfinite().all():
        raise MIVAError("The flow that moves the picture holds NaN or infinite numbers, expected finite ones.")


def _check(picture: Tensor, masks: Mapping[str, Tensor], view: View, times: np.ndarray, edges: Edges) -> None:
    """Raise a MIVAError where the parts of a scene do not fit together."""
    if picture.ndim != 3 or picture.shape[-1] != 3 or not picture.numel():
        raise MIVAError(f"The picture to be moved has the shape {tuple(picture.shape)}, expected (height, width, 3).")
    for name, mask in masks.items():
        if mask.shape != picture.shape[:2]:
            raise MIVAError(
                f"The mask of {name} is of shape {tuple(mask.shape)}, but it must have the picture's size, "
                f"{format_size(picture.shape)}."
            )
    top, left, height, width = view.box
    if min(top, left) < 0 or min(height, width) < 1 or top + height > len(picture) or left + width > picture.shape[1]:
        raise MIVAError(f"The view's box {view.box} is not within the picture of {format_size(picture.shape)}.")
    if times.ndim != 1 or not times.size or not (times >= 0).all():
        raise MIVAError("The times of a clip's frames must be a list of at least one number from 0 on.")
    if edges not in EDGES:
        raise MIVAError(f"The edges are {edges!r}, expected one of {', '.join(EDGES)}.")


def _array(values: Tensor) -> np.ndarray:
    return values.detach().cpu().float().numpy()


def is_subject(mask: np.ndarray) -> bool:
    """Whether a mask (H, W) of a view leaves something and not too much of it: that it shows a subject on a ground."""
    return bool(_SMALLEST_SUBJECT < (mask > 0.5).mean() < LARGEST_SUBJECT)
