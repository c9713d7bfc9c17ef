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
    """

    size: tuple[int, int]
    window: Window
    camera: LayerMotion
    subjects: Mapping[str, LayerMotion]

    def ground(self, time: float) -> Placement:
        """Where the ground of a frame comes from."""
        if self.camera.residual is None:
            return Placement(self._camera(time))
        return self._placement(self.camera, time)

    def subject(self, name: str, time: float) -> Placement:
        """Where a subject of a frame comes from."""
        return self._placement(self.subjects[name], time)

    def apart(self, name: str, time: float, points: np.ndarray) -> float:
        """How far a subject has moved against the ground.

        Args:
            name: of the subject.
            time: from 0 on.
            points: (3, N) places x, y, 1 of the view around it, in frame 1.

        Returns:
            Pixels of the clip, at the point that has moved most.
        """
        subject, ground = self.subject(name, time), self.ground(time)
        moved = subject.matrix @ np.linalg.inv(ground.matrix) @ points - points
        bent = sum(placement.bend.largest for placement in (subject, ground) if placement.bend)
        return float(np.hypot(moved[0], moved[1]).max()) + bent

    def reach(self, times: Iterable[float]) -> tuple[np.ndarray, float]:
        """Find what all frames see.

        Returns:
            Places (2, N) of the view around all of it, and how many pixels the view has to one of the closest frame, at
            most, as in `seen_source`.
        """
        height, width = self.size
        corners = np.array([[x, y, 1] for x in (-0.5, width - 0.5) for y in (-0.5, height - 0.5)]).T
        placements = [
            placement
            for time in times
            for placement in (self.ground(time), *(self.subject(name, time) for name in self.subjects))
        ]
        places = np.concatenate([(placement.matrix @ corners)[:2] for placement in placements], axis=1)
        return places, min(math.sqrt(abs(np.linalg.det(placement.matrix))) for placement in placements)

    def _camera(self, time: float) -> np.ndarray:
        """The matrix from pixels of a frame to places of the view, by the camera alone."""
        height, width = self.size
        centred = np.array([[1.0, 0, (1 - width) / 2], [0, 1.0, (1 - height) / 2], [0, 0, 1.0]])
        return self.window.matrix(self.size) @ self.camera.path.matrix(time, self.size) @ centred

    def _placement(self, layer: LayerMotion, time: float) -> Placement:
        """What a frame sees of a layer through its camera, which differs from the flow's by window and later time."""
        within = back_and_forth(time, len(self.camera.path))
        to_flow = np.linalg.inv(self.camera.path.matrix(within, self.size)) @ self._camera(time)
        matrix = layer.path.matrix(within, self.size) @ to_flow
        if layer.residual is None:
            return Placement(matrix)
        flow = layer.residual.at(within)
        x, y = flow.shape[1] / self.size[1], flow.shape[0] / self.size[0]
        grid = np.array([[x, 0, (flow.shape[1] - 1) / 2], [0, y, (flow.shape[0] - 1) / 2], [0, 0, 1]])
        return Placement(matrix, Bend(flow / np.float32([x, y]), grid @ to_flow))
