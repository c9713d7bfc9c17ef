"""Clips as they should be: camera moves at a constant speed, and drawn subjects over a still ground."""

from dataclasses import dataclass, fields, replace
from typing import Any

import cv2
import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from benchmarks.full_size.camera_reading import WORKING, off_centre
from benchmarks.full_size.pictures import ROOM, SIDE, Held
from miva_core.clips.camera import UNIT_MOVES, move_transforms
from tools.procedural.scenes import SceneChoice, Scenes, draw_scenes

FRAMES = 16
SUBJECT_SPEED = 0.9
"""Pixels of the base's frame, a frame."""
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


def draw_subjects(motion: str, count: int) -> Scenes:
    choice = SceneChoice(
        moves=("still",),
        motions=(motion,),
        sprites=(0.0, 1.0),
        subject_speed=(SUBJECT_SPEED * SIDE / WORKING,) * 2,
    )
    drawn = draw_scenes(count, torch.Generator().manual_seed(4321), choice, count, ROOM, SIDE, FRAMES)
    return replace(drawn, picture=torch.zeros(count, dtype=torch.long))


def filmed(scenes: Scenes, number: int, held: Held) -> Drawn:
    """One scene over a picture."""
    one = _taken(scenes, number)
    swept = one.sprite_masks(SIDE, SIDE)[0, 0].amax(0) > 0.02
    at = torch.tensor((0, *SUBJECT_FRAMES))
    some = replace(one, camera=one.camera[:, at], poses=[pose[:, at] for pose in one.poses])
    picture = rearrange(torch.from_numpy(held.large * 255).round().to(torch.uint8), "h w c -> 1 c h w")
    clip, masks = some.render(picture, SIDE, SIDE)
    return Drawn(rearrange(clip[0], "f c h w -> f h w c"), masks[0, 0], swept)


def _taken(scenes: Any, number: int) -> Any:
    """One of the scenes, or of the looks within."""
    values = {field.name: getattr(scenes, field.name) for field in fields(scenes)}
    kept = slice(number, number + 1)
    return type(scenes)(
        **{
            name: [_taken(v, number) if not torch.is_tensor(v) else v[kept] for v in value]
            if isinstance(value, list)
            else value[kept]
            for name, value in values.items()
        }
    )
