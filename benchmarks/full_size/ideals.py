"""Clips as they should be: camera moves at a constant speed, and drawn subjects over a still ground."""

from dataclasses import dataclass, fields, replace
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from benchmarks.full_size.camera_reading import WORKING, off_centre
from benchmarks.full_size.pictures import ROOM, SIDE, Held
from miva_core.clips.camera import UNIT_MOVES, move_transforms
from miva_core.media.pixel_values import to_bytes
from tools.procedural.scenes import SceneChoice, Scenes, draw_scenes
from tools.procedural.sprites import sprite_poses

FRAMES = 16
SUBJECT_FRAMES = (4, 11, 15)


def ideal_frame(held: Held, move: str, speed: float, frame: int, zoom: float = 1.0, centre: complex = 0) -> Tensor:
    """A frame (SIDE, SIDE, 3) of a move at a constant speed, seen through a window and supersampled."""
    fine = 2
    z = off_centre(fine * SIDE, fine * SIDE) / fine
    (linear, shift) = np.split(move_transforms(UNIT_MOVES[move], speed, FRAMES)[0, frame].double().numpy(), [2], axis=1)
    shown = complex(linear[0, 0], linear[1, 0]) * z + complex(*shift[:, 0]) * (SIDE / WORKING)
    places = zoom * shown + centre + (ROOM - 1) / 2 * (1 + 1j)
    large = cv2.remap(
        held.large,
        places.real.astype(np.float32),
        places.imag.astype(np.float32),
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT,
    )
    return torch.from_numpy(cv2.resize(large, (SIDE, SIDE), interpolation=cv2.INTER_AREA).clip(0, 1))


@dataclass(frozen=True)
class Drawn:
    """A drawn subject that moves over a still ground.

    Attributes:
        frames: (1 + len(SUBJECT_FRAMES), SIDE, SIDE, 3), the first being frame 1.
        mask: (SIDE, SIDE) of frame 1. swept: (SIDE, SIDE) bool, wherever the subject is at some time.
    """

    frames: Tensor
    mask: Tensor
    swept: Tensor


def draw_subjects(motion: str, count: int, speed: float = 1.0) -> Scenes:
    """Scenes of one drawn subject each, whose speed is in pixels of the base's frame a frame; all else is the same."""
    moving = (speed * SIDE / WORKING,) * 2
    choice = SceneChoice(moves=("still",), motions=(motion,), sprites=(0.0, 1.0), subject_speed=moving)
    drawn = draw_scenes(count, torch.Generator().manual_seed(4321), choice, count, ROOM, SIDE, FRAMES)
    return replace(drawn, picture=torch.zeros(count, dtype=torch.long))


def filmed(scenes: Scenes, number: int, held: Held) -> Drawn:
    """One of the scenes over a picture."""
    one = _taken(scenes, number)
    swept = one.sprite_masks(SIDE, SIDE)[0, 0].amax(0) > 0.02
    at = torch.tensor((0, *SUBJECT_FRAMES))
    some = replace(one, camera=one.camera[:, at], poses=[pose[:, at] for pose in one.poses])
    picture = rearrange(to_bytes(torch.from_numpy(held.large)), "h w c -> 1 c h w")
    clip, masks = some.render(picture, SIDE, SIDE)
    return Drawn(rearrange(clip[0], "f c h w -> f h w c"), masks[0, 0], swept)


def _taken(batch: Any, number: int) -> Any:
    """One of the scenes of a batch, or of its looks."""

    def one(value: Any) -> Any:
        return value[number : number + 1] if torch.is_tensor(value) else _taken(value, number)

    values = {field.name: getattr(batch, field.name) for field in fields(batch)}
    return type(batch)(**{k: [*map(one, v)] if isinstance(v, list) else one(v) for k, v in values.items()})


def exact_flow(scenes: Scenes, number: int) -> Tensor:
    """(F, 2, h, w): the flow of one of the scenes, as a base would predict it that made no mistake."""
    fine = _taken(scenes, number).flow_to_first(SIDE, SIDE)[0, :, :2]
    return F.interpolate(fine, (WORKING, WORKING), mode="area") * (WORKING / SIDE)


def unit_way(motion: str) -> np.ndarray:
    """(F,) complex: where a subject of unit speed is, in pixels of a clip off its first place."""
    angle, size = torch.zeros(1), torch.ones(1)
    poses = sprite_poses([motion], torch.zeros(1, 2), size, angle, torch.tensor([SIDE / WORKING]), FRAMES)[0]
    place = -poses[:, :, 2].double().numpy()
    return place[:, 0] + 1j * place[:, 1]
