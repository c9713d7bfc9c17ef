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
_AROUND = 7
"""Pixels of the grid, along each side, of which most must be so: an edge is not seen quite as sharp in both frames."""


def unexplained(clip: ClipFlow, motions: Motions, masks: Mapping[str, np.ndarray], strength: float) -> np.ndarray:
    """Find where a clip shows something else than its first frame, moved.

    Args:
        clip: its flow and frames.
        motions: that were read off it.
        masks: (H, W) in [0, 1] of the subjects in its first frame.
        strength: see `with_strength`; places are those of frames that move so much.

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
        if strength != 1:
            found[i] = sampled(found[i], places_before(camera, strength, i, clip.size))
    return found


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
