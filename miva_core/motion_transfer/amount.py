"""A motion made weaker or stronger."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..rendering.flow_fit import centred_grid
from ..rendering.layer_motion import LayerMotion, Motions
from ..rendering.path import SimilarityPath
from ..rendering.residual import Residual
from .clip_flow import moved, sampled

_ROUNDS = 8


def with_strength(motions: Motions, strength: float, size: tuple[int, int]) -> Motions:
    """Make all motions so many times as strong.

    Args:
        motions: of ground and subjects.
        strength: 0 for none, 1 for as they are.
        size: (height, width) of the grid that their rests have.

    Returns:
        The same motions at a strength of 1.
    """
    if strength == 1:
        return motions
    camera, subjects = motions
    return (
        _Scaling(camera, (camera.path,), strength, size).motion(),
        {name: _Scaling(one, (one.path, camera.path), strength, size).motion() for name, one in subjects.items()},
    )


def places_before(ground: LayerMotion, strength: float, time: int, size: tuple[int, int]) -> np.ndarray:
    """Find where a frame had shown, before `with_strength`, what it shows now of the ground.

    Args:
        ground: its motion, as it was.
        strength: see `with_strength`.
        time: of the frame.
        size: (height, width) of the grid.

    Returns:
        (h, w, 2) places off the centre, in pixels of the grid.
    """
    return _Scaling(ground, (ground.path,), strength, size).before(time)


def _stronger(path: SimilarityPath, strength: float) -> SimilarityPath:
    return replace(path, similarities=path.similarities * strength)


@dataclass(frozen=True, eq=False)
class _Scaling:
    """How the motion of a layer changes.

    Attributes:
        layer: its motion, as it was.
        paths: its own, and the camera's where it moves on a ground, which comes first in time.
        strength: see `with_strength`.
        size: (height, width) of the grid.
    """

    layer: LayerMotion
    paths: Sequence[SimilarityPath]
    strength: float
    size: tuple[int, int]

    def motion(self) -> LayerMotion:
        """The motion as it is then."""
        path, rest = _stronger(self.layer.path, self.strength), self.layer.residual
        if rest is None or not self.strength:
            return LayerMotion(path, None)
        flow = [self.strength * sampled(rest.flow[time], self.before(time)) for time in range(len(path))]
        return LayerMotion(path, Residual(np.stack(flow).astype(np.float32)))

    def before(self, time: int) -> np.ndarray:
        """Where a frame had shown, (h, w, 2) off the centre, what it shows at each place of the grid then.

        Without its rest the layer would show the place y of frame 1; with it, y + rest(y). Then it shows the same at z,
        for which z + strength * rest(y) = y + rest(y); so y is found by going round.
        """
        now = moved(self._stiff(time, self.strength), centred_grid(*self.size))
        back, places = np.linalg.inv(self._stiff(time, 1)), now
        if self.layer.residual is not None:
            rest = self.layer.residual.flow[time]
            for _ in range(_ROUNDS):
                places = now + (self.strength - 1) * sampled(rest, moved(back, places))
        return moved(back, places)

    def _stiff(self, time: int, strength: float) -> np.ndarray:
        """The matrix (3, 3) of the paths at a strength."""
        matrices = [_stronger(path, strength).matrix(time, self.size) for path in self.paths]
        return np.linalg.multi_dot([np.eye(3), *matrices])
