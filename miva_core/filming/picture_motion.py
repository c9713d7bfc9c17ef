"""The formulas of some motions put together for one picture, as the renderer takes them."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from ..motion_fields.displacements import displacement
from ..motion_fields.motions import UNITS
from ..motion_fields.region_frame import RegionFrame
from ..motion_fields.whole_frame import camera_map, parallax
from ..rendering.layered_motion import CameraPath, Carried, DepthMove, Displacement, LayeredMotion, Parallax, Staying
from ..rendering.view import View
from .filmed_motion import FilmedMotion


def picture_motion(
    motions: Mapping[str, FilmedMotion], view: View, nearness: Tensor | None, seed: int
) -> LayeredMotion:
    """Put motions together.

    Args:
        motions: by name, with masks of the picture's size.
        view: what the first frame is framed on.
        nearness: (H, W) in [0, 1] of the picture; None where no motion needs it and order does not matter.
        seed: of shakes.

    Returns:
        Their motion. Cut-outs lie as the nearness has them, from back to front, or in their order.
    """
    whole = [motion for motion in motions.values() if motion.mask is None]
    depth = [motion for motion in whole if motion.field.kind == "depth"]
    regions = [
        Staying(
            name,
            _array(_mask(motion)),
            _displacement(motion, view, seed),
            motion.field.period,
            motion.field.goes_under,
        )
        for name, motion in motions.items()
        if motion.mask is not None and motion.field.kind != "carried"
    ]
    subjects = [
        Carried(name, _array(_mask(motion)), _displacement(motion, view, seed), motion.field.period)
        for name, motion in motions.items()
        if motion.field.kind == "carried"
    ]
    if nearness is not None:
        subjects.sort(key=lambda subject: _nearness_of(subject, _array(nearness)))
    return LayeredMotion(
        (view.size[0] * UNITS / min(view.size), view.size[1] * UNITS / min(view.size)),
        _camera([motion for motion in whole if motion.field.kind != "depth"], seed),
        Parallax(_array(nearness), _depth(depth)) if depth and nearness is not None else None,
        regions,
        subjects,
    )


def _camera(motions: Sequence[FilmedMotion], seed: int) -> CameraPath:
    """All motions of the whole frame, the last one applied to places first."""

    def at(time: float) -> np.ndarray:
        matrix, moment = np.eye(3), torch.tensor(time, dtype=torch.float64)
        for motion in motions:
            matrix = matrix @ np.vstack([camera_map(motion.field.name, motion.speed, moment, seed).numpy(), [0, 0, 1]])
        return matrix[:2]

    return at


def _depth(motions: Sequence[FilmedMotion]) -> DepthMove:
    """All motions in depth, one after the other."""

    def seen(places: np.ndarray, time: float, nearness: np.ndarray | float) -> np.ndarray:
        found = torch.from_numpy(places)
        near = torch.from_numpy(nearness) if isinstance(nearness, np.ndarray) else nearness
        for motion in motions:
            found = parallax(motion.field.name, motion.speed, found, time, near)
        return found.numpy()

    return seen


def _displacement(motion: FilmedMotion, view: View, seed: int) -> Displacement:
    """The displacement of a part of the picture."""
    top, left, height, width = view.box
    region = RegionFrame.of(_mask(motion)[top : top + height, left : left + width], min(height, width) / UNITS)

    def displace(places: np.ndarray, time: float) -> np.ndarray:
        return displacement(motion.field.name, motion.speed, torch.from_numpy(places), time, region, seed).numpy()

    return displace


def _mask(motion: FilmedMotion) -> Tensor:
    assert motion.mask is not None  # The motion says that it needs one.
    return motion.mask


def _nearness_of(subject: Carried, nearness: np.ndarray) -> float:
    return float(np.median(nearness[subject.mask > 0.5]))


def _array(values: Tensor) -> np.ndarray:
    return np.ascontiguousarray(values.detach().cpu().float().numpy())
