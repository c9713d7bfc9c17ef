"""A motion made weaker or stronger."""

from dataclasses import replace

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
    """
    if strength == 1:
        return motions
    camera, subjects = motions
    slower = replace(camera.path, similarities=camera.path.similarities * strength)
    return (
        _scaled(camera, strength, size, slower, camera.path),
        {name: _scaled(motion, strength, size, slower, camera.path) for name, motion in subjects.items()},
    )


def places_before(motion: LayerMotion, strength: float, time: int, size: tuple[int, int]) -> np.ndarray:
    """Find where a frame had shown, before `with_strength`, what it shows now of the ground.

    Args:
        motion: of the ground, as it was.
        strength: see `with_strength`.
        time: of the frame.
        size: (height, width) of the grid.

    Returns:
        (h, w, 2) places off the centre, in pixels of the grid.
    """
    scaled = replace(motion.path, similarities=motion.path.similarities * strength)
    return _before(motion.residual, strength, time, size, scaled.matrix(time, size), motion.path.matrix(time, size))


def _scaled(
    motion: LayerMotion, strength: float, size: tuple[int, int], new_camera: SimilarityPath, camera: SimilarityPath
) -> LayerMotion:
    path = replace(motion.path, similarities=motion.path.similarities * strength)
    if motion.residual is None:
        return LayerMotion(path, None)
    on_camera = motion.path is not camera
    flows = []
    for time in range(len(path)):
        stiff, before = path.matrix(time, size), motion.path.matrix(time, size)
        if on_camera:
            stiff, before = stiff @ new_camera.matrix(time, size), before @ camera.matrix(time, size)
        places = _before(motion.residual, strength, time, size, stiff, before)
        flows.append(strength * sampled(motion.residual.flow[time], places))
    return LayerMotion(path, Residual(np.stack(flows).astype(np.float32)) if strength else None)


def _before(
    rest: Residual | None, strength: float, time: int, size: tuple[int, int], stiff: np.ndarray, before: np.ndarray
) -> np.ndarray:
    """Where a layer was seen, (h, w, 2) off the centre, that a frame shows at each place: `stiff` is its stiff motion
    now and `before` as it was, and the rest goes so many times as far.

    What was at y beside the stiff motion and went to y + rest(y) goes to z with z + strength * rest(y) = y + rest(y).
    """
    now = moved(stiff, centred_grid(*size))
    back, places = np.linalg.inv(before), now
    for _ in range(_ROUNDS if rest is not None else 0):
        places = now + (strength - 1) * sampled(rest.flow[time], moved(back, places))  # type: ignore[union-attr]
    return moved(back, places)
