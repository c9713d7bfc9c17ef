"""How the layers of a picture move: the ground by its camera, subjects by what their masks move by."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .camera_path import steady_camera
from .carried_masks import CORE, away_from, carry_mask, without_uncovered
from .flow_fit import centred_grid, fit_similarities, held, points_inside
from .path import SimilarityPath
from .residual import Residual, ground_residual, kept_residual
from .subject_path import subject_path


@dataclass(frozen=True, eq=False)
class LayerMotion:
    """The motion of a layer in the frames of a flow.

    Attributes:
        path: what is stiff of it: of the ground what the camera does, of a subject what it does on that ground.
        residual: what the flow does beside that; None where it is nothing but noise.
    """

    path: SimilarityPath
    residual: Residual | None

    @property
    def rests(self) -> bool:
        """Whether nothing of it ever moves."""
        return self.residual is None and self.path.at_rest


Motions = tuple[LayerMotion, dict[str, LayerMotion]]
"""The motion of the ground, and those of the subjects on it, by name."""


def fit_motions(flow: np.ndarray, masks: Mapping[str, np.ndarray], asked: np.ndarray | None = None) -> Motions:
    """Find the motions of ground and subjects from a flow that a base predicts.

    Args:
        flow: (F, h, w, 2), see `flow_fit`; frame 1 is taken for the picture at rest, whatever its flow says.
        masks: (H, W) in [0, 1] of the subjects in frame 1, of any size; they cover what the flow covers.
        asked: ways that the camera was to take, see `steady_camera`.

    Returns:
        The motion of the ground, and those of the subjects.
    """
    # A base is never asked for its first frame, so what it says there is arbitrary.
    flow = np.concatenate([np.zeros_like(flow[:1]), flow[1:]])
    inside = points_inside(flow).astype(np.float32)
    carried = {name: carry_mask(mask, flow) for name, mask in masks.items()}
    ground = inside
    for mask in carried.values():
        ground = ground * away_from(mask)
    fitted = SimilarityPath(held(fit_similarities(flow, ground)))
    camera = steady_camera(fitted.similarities, flow.shape[1:3], asked)
    of_camera, subjects = stiff_flow(flow.shape, camera), {}
    own = np.linalg.norm(flow - of_camera, axis=-1)
    for name, mask in carried.items():
        weight = without_uncovered(np.where(mask > CORE, mask, 0) * inside, own)
        path = subject_path(fit_similarities(flow, weight), camera, weight)
        subjects[name] = LayerMotion(path, kept_residual(flow, stiff_flow(flow.shape, path, camera), weight))
    if not subjects:
        rest = ground_residual(flow, of_camera, stiff_flow(flow.shape, fitted), ground)
    else:
        # Beside masked subjects what bends a ground at rest, and a part that stands out, leaks from them.
        rest = None if camera.at_rest else kept_residual(flow, of_camera, ground)
    return LayerMotion(camera, rest), subjects


def stiff_flow(shape: tuple[int, ...], *paths: SimilarityPath) -> np.ndarray:
    """Compute the flow of paths, the last one applied first.

    Args:
        shape: (F, h, w, 2), of the flow.
        paths: as long as that.
    """
    frames, height, width, _ = shape
    grid = centred_grid(height, width)
    of_paths = [[path.matrix(i, (height, width)) for path in paths] for i in range(frames)]
    matrices = [np.linalg.multi_dot([np.eye(3), *matrices]) for matrices in of_paths]
    return np.stack([grid @ m[:2, :2].T + m[:2, 2] - grid for m in matrices]).astype(np.float32)
