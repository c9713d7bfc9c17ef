"""The formulas of motions as the layers that the renderer moves."""

import numpy as np
import torch

from ..motion_fields.displacements import displacement
from ..motion_fields.motions import MotionField
from ..motion_fields.region_frame import RegionFrame
from ..motion_fields.whole_frame import camera_map, parallax
from ..rendering.layered_motion import CameraPath, Carried, DepthMove, Displacement, Staying


def still_camera(time: float) -> np.ndarray:
    """A camera that rests."""
    return np.eye(2, 3)


def moving_camera(name: str, speed: float, seed: int = 0) -> CameraPath:
    """The path of a motion of kind "camera" or "shake".

    Args:
        name: of the motion.
        speed: factor of its unit speed.
        seed: of a shake.
    """
    return lambda time: camera_map(name, speed, torch.tensor(time, dtype=torch.float64), seed).numpy()


def depth_move(name: str, speed: float) -> DepthMove:
    """What a motion of kind "depth" does, as `Parallax.seen`.

    Args:
        name: of the motion.
        speed: factor of its unit speed.
    """

    def seen(places: np.ndarray, time: float, nearness: np.ndarray | float) -> np.ndarray:
        near = torch.as_tensor(nearness, dtype=torch.float32)
        return parallax(name, speed, torch.as_tensor(places, dtype=torch.float32), time, near).numpy()

    return seen


def part_layer(
    motion: MotionField, speed: float, mask: np.ndarray, region: RegionFrame, seed: int = 0
) -> Staying | Carried:
    """The layer of a motion of a part of the picture.

    Args:
        motion: of kind "region", "carried" or "shake".
        speed: factor of its unit speed.
        mask: (H, W) in [0, 1] of the picture.
        region: what the mask measures, off the centre of the view.
        seed: of a shake.
    """
    move = displacer(motion.name, speed, region, seed)
    if motion.kind == "carried":
        return Carried(motion.name, mask, move, motion.period)
    # What drifts for ever comes from under what is around it.
    return Staying(motion.name, mask, move, motion.period, behind=motion.name.startswith("drift"))


def displacer(name: str, speed: float, region: RegionFrame, seed: int = 0) -> Displacement:
    """What a motion of a part of the picture does, as `Staying.displace`; arguments as for `part_layer`."""

    def displace(places: np.ndarray, time: float) -> np.ndarray:
        return displacement(name, speed, torch.as_tensor(places, dtype=torch.float32), time, region, seed).numpy()

    return displace
