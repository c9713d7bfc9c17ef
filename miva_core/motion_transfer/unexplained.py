"""Where the motions that were read off a clip do not make its frames of its first one."""

from collections.abc import Mapping

import cv2
import numpy as np

from ..rendering.carried_masks import CORE, carry_mask
from ..rendering.flow_fit import centred_grid
from ..rendering.layer_motion import LayerMotion, Motions, stiff_flow
from ..rendering.path import SimilarityPath
from ..rendering.residual import Residual
from .amount import places_before
from .clip_flow import HALF, ClipFlow, sampled

_UNLIKE = 0.06
"""Mean difference of colours in [0, 1] above which one place is not another."""
_BENT = 1.0
"""Pixels of the grid beside the camera, from which on it matters that a flow is only that of its surroundings."""
_SEEN = 0.25
"""Share of a subject that a frame must show, to tell whether it is where it should be."""
_AROUND = 7
"""Pixels of the grid, along each side, of which most must be so: an edge is not seen quite as sharp in both frames."""


def unexplained(clip: ClipFlow, motions: Motions, masks: Mapping[str, np.ndarray]) -> np.ndarray:
    """Find where a clip shows something else than its first frame, moved.

    Args:
        clip: its flow and frames.
        motions: that were read off it.
        masks: (H, W) in [0, 1] of the subjects in its first frame.

    Returns:
        (F, h, w) float32, 0 or 1.
    """
    camera, subjects = motions
    flow = _whole(camera, clip.flow.shape)
    for name, motion in subjects.items():
        own = carry_mask(masks[name], clip.flow)[..., None] > CORE
        flow = np.where(own, _whole(motion, clip.flow.shape, camera.path), flow)
    found = np.zeros(clip.trust.shape, np.float32)
    guessed = np.zeros(found.shape, bool) if camera.residual is None else (clip.trust <= HALF) & _bent(camera.residual)
    for i in range(1, len(found)):
        unlike = _unlike(clip.frames[i], clip.frames[0], centred_grid(*clip.size) + flow[i]) | guessed[i]
        found[i] = cv2.blur(unlike.astype(np.float32), (_AROUND, _AROUND)) > HALF
    return found


def at_strength(found: np.ndarray, camera: LayerMotion, strength: float) -> np.ndarray:
    """Take what `unexplained` found to where frames show it that move more or less, see `with_strength`."""
    if strength == 1:
        return found
    size = found.shape[1], found.shape[2]
    return np.stack([sampled(one, places_before(camera, strength, i, size)) for i, one in enumerate(found)])


def lost_from(found: np.ndarray, motions: Motions, masks: Mapping[str, np.ndarray]) -> int | None:
    """Find from which frame on a subject is not where its motion says.

    Args:
        found: (F, h, w), see `unexplained`.
        motions: that were read off the clip.
        masks: (H, W) in [0, 1] of the subjects in its first frame.

    Returns:
        The first such frame, from 0, of the subject that is lost first; None where none is lost up to the end. Frames
        that hardly show a subject, as when it has left, tell nothing.
    """
    camera, subjects = motions
    shape, lost = (*found.shape, 2), []
    for name, motion in subjects.items():
        own = carry_mask(masks[name], _whole(motion, shape, camera.path)) > CORE
        area = own.sum((1, 2))
        odd = (area > _SEEN * area[0]) & ((found * own).sum((1, 2)) > HALF * area)
        found_last = max(np.flatnonzero(~odd), default=-1)
        lost.append(int(found_last) + 1)
    first = min(lost, default=len(found))
    return first if first < len(found) else None


def _whole(motion: LayerMotion, shape: tuple[int, ...], *camera: SimilarityPath) -> np.ndarray:
    """The flow (F, h, w, 2) of a layer, with what bends it."""
    stiff = stiff_flow(shape, motion.path, *camera)
    return stiff if motion.residual is None else stiff + motion.residual.flow


def _bent(rest: Residual) -> np.ndarray:
    """Where a layer does not move like most of it: (F, h, w) bool."""
    return np.linalg.norm(rest.flow, axis=-1) > _BENT


def _unlike(frame: np.ndarray, first: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Where a frame (h, w, 3) differs from what the first one shows at some places: (h, w) bool."""
    inside = (np.abs(places) <= np.array(first.shape[1::-1]) / 2).all(-1)
    there = sampled(first, places)
    if not inside.any():
        return np.zeros(frame.shape[:2], bool)
    # A cloud that passes changes nothing of the motion.
    brighter = frame[inside].mean(0) / np.maximum(there[inside].mean(0), 1e-3)
    return (np.abs(frame - there * brighter).mean(-1) > _UNLIKE) & inside
