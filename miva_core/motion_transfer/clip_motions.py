"""How the ground of a clip and a subject on it move, read from a flow that was measured."""

from collections.abc import Mapping

import cv2
import numpy as np

from ..rendering.carried_masks import CORE, away_from, carry_mask, without_uncovered
from ..rendering.flow_fit import fit_similarities, held
from ..rendering.layer_motion import LayerMotion, Motions, stiff_flow
from ..rendering.path import SimilarityPath
from ..rendering.push_pull import push_pull
from ..rendering.residual import Residual
from ..rendering.subject_path import subject_path
from .clip_flow import HALF, ClipFlow

_STILL = 0.002
"""Share of the frame's longer side; growing, turning or shifting that moves its edge by less is none."""
_NOISE = 0.6
"""Pixels of the grid that similarities leave over of what is stiff, at most."""
_SMOOTH = 0.012
"""Share of the frame's longer side over which what they leave over is smoothed: an edge of the clip must not tear the
picture, which has none there."""
_ISLAND = 3
"""Pixels of the grid, along each side, that know the flow together, at least."""


def read_motions(clip: ClipFlow, masks: Mapping[str, np.ndarray]) -> Motions:
    """Read the motions of ground and subjects.

    What moves is followed as it is: a hand that holds a camera is part of the motion.

    Args:
        clip: its flow.
        masks: (H, W) in [0, 1] of subjects in its first frame, of any size; they cover what a frame covers.

    Returns:
        The motion of the ground, and those of the subjects.
    """
    flow, shape = clip.flow, clip.flow.shape
    carried = {name: carry_mask(mask, flow) for name, mask in masks.items()}
    ground = clip.trust
    for mask in carried.values():
        ground = ground * away_from(mask)
    camera = SimilarityPath(_significant(held(fit_similarities(flow, ground))))
    of_camera, subjects = stiff_flow(shape, camera), {}
    own = np.linalg.norm(flow - of_camera, axis=-1)
    for name, mask in carried.items():
        weight = without_uncovered(np.where(mask > CORE, mask, 0) * clip.trust, own)
        path = subject_path(fit_similarities(flow, weight), camera, weight, _pixels(_STILL, shape))
        subjects[name] = LayerMotion(path, _rest(flow - stiff_flow(shape, path, camera), weight))
    return LayerMotion(camera, _rest(flow - of_camera, ground)), subjects


def _significant(similarities: np.ndarray) -> np.ndarray:
    """Similarities (F, 4) without what of growing, turning and shifting along each axis the camera hardly does."""
    reach = np.array([0.5, 0.5, 1, 1])
    return similarities * (np.abs(similarities * reach).max(0) >= _STILL)


def _rest(rest: np.ndarray, weight: np.ndarray) -> Residual | None:
    """What a layer does beside its stiff motion, where that is more than noise.

    Args:
        rest: (F, h, w, 2) in pixels of the grid.
        weight: (F, h, w) in [0, 1], where it is known.

    Returns:
        It, smoothed, and continued smoothly to where it is not known; None where it is nowhere more than noise.
    """
    smooth = np.stack([_continued(*frame) for frame in zip(rest, weight, strict=True)])
    smooth[0] = 0
    most = np.linalg.norm(smooth * (weight > HALF)[..., None], axis=-1).max(0)
    stands_out = np.clip(most / _NOISE - 1, 0, 1)
    if not stands_out.any():
        return None
    sigma = 2 * _pixels(_SMOOTH, rest.shape)
    around = cv2.dilate(stands_out, np.ones((2 * round(sigma) + 1,) * 2))
    return Residual(smooth * cv2.GaussianBlur(around, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)[..., None])


def _continued(field: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """A field (h, w, 2) that is known where the weight (h, w) is, smoothed and continued."""
    # Islands in what is not known are chance.
    known = cv2.morphologyEx((weight > HALF).astype(np.uint8), cv2.MORPH_OPEN, np.ones((_ISLAND, _ISLAND))) > 0
    if not known.any():
        return np.zeros_like(field)
    filled, sigma = push_pull(field, ~known), _pixels(_SMOOTH, field.shape)
    # Means of whole blocks have steps, which a picture shows as ripples.
    soft = cv2.GaussianBlur(filled, (0, 0), 3 * sigma, borderType=cv2.BORDER_REFLECT)
    filled = push_pull(np.where(known[..., None], filled, soft), ~(known | _deep(known, sigma)))
    return cv2.GaussianBlur(filled, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)


def _deep(known: np.ndarray, distance: float) -> np.ndarray:
    """What is farther from all that is known."""
    return cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) > distance


def _pixels(share: float, shape: tuple[int, ...]) -> float:
    """A share of the longer side of a grid (…, h, w, 2) in its pixels."""
    return share * max(shape[-3:-1])
