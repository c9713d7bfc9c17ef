"""Where in the view each layer of a frame comes from: motions, seen through the window, at any time."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from .layer_motion import LayerMotion
from .sampling import Bend, Placement
from .timing import back_and_forth
from .window import Window


@dataclass(frozen=True, eq=False)
class Staging:
    """The motions of all layers at the size of a clip.

    Beyond the end of the flow the camera goes on at its last speed; what else moves goes back and forth.

    Attributes:
        size: (height, width) of the clip.
        window: the part of the view that it shows.
        camera: the motion of the ground.
        subjects: the motions of what is in front of it, by name.
        within: (2, 2) first and last corner x, y of the part of the view that the ground may be taken from, off the
            view's centre in pixels of the clip: where it bends beyond, its edge is stretched. None for all.
    """

    size: tuple[int, int]
    window: Window
    camera: LayerMotion
    subjects: Mapping[str, LayerMotion]
    within: np.ndarray | None = None

    def ground(self, time: float) -> Placement:
        """Where the ground of a frame comes from."""
        camera = self._camera(time)
        return Placement(camera, self._bend(self.camera, time, camera, self.within))

    def subject(self, name: str, time: float) -> Placement:
        """Where a subject of a frame comes from."""
        camera = self._camera(time)
        return Placement(self._own(name, time) @ camera, self._bend(self.subjects[name], time, camera))

    def apart(self, name: str, time: float, points: np.ndarray) -> float:
        """How far a subject has moved over the ground.

        Args:
            name: of the subject.
            time: from 0 on.
            points: (3, N) places x, y, 1 of the view around it, in frame 1.

        Returns:
            Pixels of the clip, at the point that has moved most.
        """
        moved = self._own(name, time) @ points - points
        bends = (self._bend(layer, time, np.eye(3)) for layer in (self.subjects[name], self.camera))
        return float(np.hypot(moved[0], moved[1]).max()) + sum(bend.largest for bend in bends if bend)

    def farthest(self, name: str, times: Iterable[float], points: np.ndarray) -> float:
        """How far a subject ever moves over the ground, see `apart`."""
        return max(self.apart(name, time, points) for time in times)

    def reach(self, times: Iterable[float]) -> tuple[np.ndarray, float]:
        """Find what all frames see.

        Returns:
            Places (2, N) of the view around all of it, and how many pixels the view has to one of the closest frame, at
            most, as in `seen_source`.
        """
        height, width = self.size
        corners = np.array([[x, y, 1] for x in (-0.5, width - 0.5) for y in (-0.5, height - 0.5)]).T
        seen = [self.ground(time) for time in times]
        seen += [self.subject(name, time) for time in times for name in self.subjects]
        places = np.concatenate([(placement.matrix @ corners)[:2] for placement in seen], axis=1)
        bent = max(placement.bend.largest if placement.bend else 0.0 for placement in seen)
        closest = min(math.sqrt(abs(np.linalg.det(placement.matrix))) for placement in seen)
        around = np.concatenate([places - bent, places + bent], axis=1)
        return (around if self.within is None else around.clip(*self.within[..., None])), closest

    def _camera(self, time: float) -> np.ndarray:
        """The matrix from pixels of a frame to places of the view, by the camera alone."""
        height, width = self.size
        centred = np.array([[1.0, 0, (1 - width) / 2], [0, 1.0, (1 - height) / 2], [0, 0, 1.0]])
        return self.window.matrix(self.size) @ self.camera.path.matrix(time, self.size) @ centred

    def _own(self, name: str, time: float) -> np.ndarray:
        """The matrix of what a subject does on the ground."""
        path = self.subjects[name].path
        return path.matrix(back_and_forth(time, len(path)), self.size)

    def _bend(
        self, layer: LayerMotion, time: float, camera: np.ndarray, within: np.ndarray | None = None
    ) -> Bend | None:
        """What bends a layer, seen through a camera that differs from the flow's by its window and a later time."""
        if layer.residual is None:
            return None
        moment = back_and_forth(time, len(self.camera.path))
        flow = layer.residual.at(moment)
        x, y = flow.shape[1] / self.size[1], flow.shape[0] / self.size[0]
        grid = np.array([[x, 0, (flow.shape[1] - 1) / 2], [0, y, (flow.shape[0] - 1) / 2], [0, 0, 1]])
        to_flow = np.linalg.inv(self.camera.path.matrix(moment, self.size)) @ camera
        return Bend((flow / [x, y]).astype(np.float32), grid @ to_flow, within)
