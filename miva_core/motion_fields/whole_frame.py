"""Motions of the whole frame: by affine maps, one for all places or one for each nearness."""

import torch
from torch import Tensor

from ..clips.camera import UNIT_MOVES, CameraMove, camera_maps
from .shake import REACH, shake_path

FARTHEST_SHARE = 0.2
"""How fast the farthest parts go, of the speed that what is nearest has beyond them."""
DEPTH_MOVES: dict[str, CameraMove] = {
    "truck_left": CameraMove(pan=(-1.0, 0.0)),
    "truck_right": CameraMove(pan=(1.0, 0.0)),
    "dolly_in": CameraMove(zoom=0.024),
    "dolly_out": CameraMove(zoom=-0.024),
}
"""What a camera that goes through the scene does to parts of nearness 0.8 at unit speed."""


def camera_map(name: str, speed: Tensor | float, times: Tensor, seed: int = 0) -> Tensor:
    """Compute the map of a motion of the whole frame. A shake is applied to places before any other one.

    Args:
        name: of a motion of kind "camera" or "shake".
        speed: factor of its unit speed, broadcast against `times`.
        times: (…) in frames.
        seed: of a shake's path; without meaning for the others.

    Returns:
        (…, 2, 3): places at that time to places of frame 1, in field units.
    """
    if name == "shake":
        shift = (
            REACH * torch.as_tensor(speed, dtype=times.dtype, device=times.device)[..., None] * shake_path(times, seed)
        )
        rest = torch.eye(2, dtype=shift.dtype, device=shift.device).expand(*shift.shape[:-1], 2, 2)
        return torch.cat([rest, shift[..., None]], -1)
    return _moved(UNIT_MOVES[name], speed * times)


def depth_map(name: str, speed: Tensor | float, times: Tensor, nearness: Tensor | float) -> Tensor:
    """Compute the map by which parts of one nearness go.

    Args:
        name: of a motion of kind "depth".
        speed: factor of its unit speed, broadcast against `times`.
        times: (…) in frames.
        nearness: 0 far to 1 near, broadcast against `times`.

    Returns:
        (…, 2, 3), as from `camera_map`: the exponential of speed · time · (0.2 + nearness) times a constant.
    """
    return _moved(DEPTH_MOVES[name], speed * times * (FARTHEST_SHARE + nearness))


def parallax(
    name: str, speed: Tensor | float, places: Tensor, times: Tensor | float, nearness: Tensor | float
) -> Tensor:
    """Compute where in frame 1 places show, were what they show of a given nearness.

    Args:
        name: of a motion of kind "depth".
        speed: factor of its unit speed, broadcast as `times`.
        places: (…, 2) in field units.
        times: in frames, broadcast against the places' leading dimensions.
        nearness: 0 far to 1 near, broadcast likewise.

    Returns:
        (…, 2): `depth_map` of the nearness, applied to the places.
    """
    move = DEPTH_MOVES[name]
    way = torch.as_tensor(speed * times * (FARTHEST_SHARE + nearness), dtype=places.dtype, device=places.device)[
        ..., None
    ]
    moved = places * torch.exp(-move.zoom * way) if move.zoom else places
    return moved + way * places.new_tensor(move.pan) if any(move.pan) else moved


def _moved(move: CameraMove, way: Tensor) -> Tensor:
    return camera_maps(way.new_tensor(move.pan), way.new_tensor(move.zoom), way.new_tensor(move.roll), way)
