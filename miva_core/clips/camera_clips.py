"""Training clips of a camera motion, filmed over stills (D.2): five a still, by crop and sub-pixel transform."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ..checks import is_number
from ..errors import MIVAError
from ..media.pictures import format_size
from ..storage.files import replacing
from ..storage.json_files import read_foreign_json
from .camera import (
    EASINGS,
    UNIT_MOVES,
    Easing,
    affine_flow,
    apply_affine,
    compose_affine,
    film,
    invert_affine,
    move_transforms,
    pixel_grid,
)

CLIPS_PER_STILL = 5
CAMERA_MOTIONS = tuple(name.replace("_", "-") for name in UNIT_MOVES if name != "still")
_UNIT_WIDTH = 64
"""Pixels of the frame width at which a pan of unit speed is one pixel a frame."""
_SAMPLES = 2
"""A side, of which a frame pixel is the mean: with one, shifts and zooms would blur some frames more than others."""
_OVERSAMPLING = 1.2
"""Picture pixels per sample."""
_CLOSEST = 0.7
"""The closest crop, as a share of the widest one that the move allows."""
_LEAST_SHARPNESS = 0.5


@dataclass(frozen=True)
class CameraClip:
    """A clip filmed over a still.

    Attributes:
        frames: (F, 3, H, W) in [0, 1].
        transforms: (F, 2, 3), see `camera`.
    """

    frames: Tensor
    transforms: Tensor

    def flow(self) -> Tensor:
        """Exact forward flow, (F-1, H, W, 2) in pixels."""
        return affine_flow(self.transforms[None], *self.frames.shape[-2:])[0]


@dataclass(frozen=True)
class Shooting:
    """How stills are filmed.

    Args:
        motion: one of `CAMERA_MOTIONS`.
        size: (height, width) of the clips. frames: F of each.
        speed: of the motion. At 1 a pan covers a 64th of the frame's width in a frame, a zoom gains or loses 2.4 % of
            size and a roll turns by 1.5°; half of that is slow, twice is fast.
        easing: see `camera.eased`.

    Raises:
        MIVAError: an unknown motion or easing, or a speed out of range.
    """

    motion: str
    size: tuple[int, int]
    frames: int
    speed: float = 1.0
    easing: Easing = "linear"

    def __post_init__(self) -> None:
        if self.motion not in CAMERA_MOTIONS:
            raise MIVAError(f"{self.motion!r} is no camera motion; known are {', '.join(CAMERA_MOTIONS)}.")
        if self.easing not in EASINGS:
            raise MIVAError(f"{self.easing!r} is no easing; known are {', '.join(EASINGS)}.")
        if not (is_number(self.speed) and 0 < self.speed <= 10):
            raise MIVAError(f"The speed is {self.speed!r}, expected a number above 0 and up to 10.")

    @property
    def needed_side(self) -> int:
        """Pixels along a still's shorter side beyond which clips do not become sharper."""
        low, high = _footprint(self.transforms(), self.size)
        return round(_SAMPLES * _OVERSAMPLING / _CLOSEST * (high - low).amax().item())

    def transforms(self) -> Tensor:
        """The camera's way, (F, 2, 3)."""
        move = UNIT_MOVES[self.motion.replace("-", "_")]
        width = self.size[1] / _UNIT_WIDTH
        move = replace(move, pan=(move.pan[0] * width, move.pan[1] * width))
        return move_transforms(move, self.speed, self.frames, self.easing)[0]


def film_still(picture: Tensor, shooting: Shooting, generator: torch.Generator) -> CameraClip:
    """Film a random part of a picture, all of the way on it.

    Args:
        picture: (H, W, 3) in [0, 1].

    Raises:
        MIVAError: the picture is so small that less than half of the clip's pixels a side would be its own.
    """
    transforms = shooting.transforms()
    low, high = _footprint(transforms, shooting.size)
    available = _sides(picture)
    _check_large_enough([("the still", picture)], shooting)
    widest = _widest_scale(picture, shooting)
    scale = max(_LEAST_SHARPNESS, widest * (_CLOSEST + (1 - _CLOSEST) * torch.rand(1, generator=generator).item()))
    slack = available / scale - (high - low)
    corner = slack * torch.rand(2, generator=generator, dtype=torch.float64)
    # Where the first frame's centre is on the picture, in frame pixels off the picture's own centre.
    aim = corner - low - available / scale / 2
    canvas = F.interpolate(
        rearrange(picture, "h w c -> 1 c h w"),
        size=[max(1, round(n / scale * _SAMPLES * _OVERSAMPLING)) for n in picture.shape[:2]],
        mode="bicubic",
        antialias=True,
    ).clamp(0, 1)
    moved = transforms.clone()
    moved[:, :, 2] = _SAMPLES * (moved[:, :, 2] + aim.to(moved))
    height, width = (_SAMPLES * side for side in shooting.size)
    samples = film(canvas, moved[None], height, width, scale=_OVERSAMPLING)
    return CameraClip(F.avg_pool2d(samples[0], _SAMPLES), transforms)


def _widest_scale(picture: Tensor, shooting: Shooting) -> float:
    """Picture pixels to a frame pixel where the way takes up all of a picture (H, W, 3)."""
    low, high = _footprint(shooting.transforms(), shooting.size)
    return (_sides(picture) / (high - low)).amin().item()


def _check_large_enough(stills: Sequence[tuple[str, Tensor]], shooting: Shooting) -> None:
    small = [
        f"{name} ({format_size(picture.shape)})"
        for name, picture in stills
        if _widest_scale(picture, shooting) < _LEAST_SHARPNESS
    ]
    if small:
        low, high = _footprint(shooting.transforms(), shooting.size)
        width, height = ((high - low) * _LEAST_SHARPNESS).ceil().long().tolist()
        raise MIVAError(
            f"Too small for this motion at this size and speed, which needs {width}×{height} pixels at least; replace "
            f"or remove them: {', '.join(small)}."
        )


def film_stills(
    stills: Sequence[tuple[str, Tensor]], shooting: Shooting, seed: int, per_still: int = CLIPS_PER_STILL
) -> Iterator[tuple[str, CameraClip]]:
    """Film stills, `per_still` clips of each: names with their clips, made one after another.

    Raises:
        MIVAError: some stills are too small, told before any is filmed; all of them are named.
    """
    _check_large_enough(stills, shooting)
    generator = torch.Generator().manual_seed(seed)
    return (
        (f"{name}_{k + 1}", film_still(picture, shooting, generator))
        for name, picture in stills
        for k in range(per_still)
    )


def write_flow(clip: CameraClip, path: Path) -> None:
    """Keep a clip's exact flow as JSON: for each frame but the last, the 2×3 map A with flow = A (x, y, 1), x and y in
    pixels off the frame's centre. `read_flow` gives the field."""
    steps = compose_affine(invert_affine(clip.transforms[1:].double()), clip.transforms[:-1].double())
    steps = steps - torch.eye(2, 3, dtype=torch.float64)
    height, width = clip.frames.shape[-2:]
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({"width": width, "height": height, "flow": steps.tolist()}))


def read_flow(path: Path) -> Tensor:
    """The flow field (F-1, H, W, 2) in pixels that `write_flow` kept.

    Raises:
        MIVAError: the file is none of those.
    """
    try:
        content = read_foreign_json(path)
        maps = torch.tensor(content["flow"], dtype=torch.float64).view(-1, 2, 3)
        grid = pixel_grid(int(content["height"]), int(content["width"])).double()
    except (OSError, ValueError, LookupError, TypeError, RuntimeError) as error:
        raise MIVAError(f"{path} holds no flow of a camera clip that can be read: make the clips again.") from error
    return apply_affine(maps, grid).float()


def _sides(picture: Tensor) -> Tensor:
    """Width and height."""
    return torch.tensor([picture.shape[1], picture.shape[0]], dtype=torch.float64)


def _footprint(transforms: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The lowest and highest coordinates (x, y) that a way looks at, in frame pixels off the first frame's centre."""
    half_height, half_width = (n / 2 for n in size)
    corners = torch.tensor([[[x, y] for x in (-half_width, half_width)] for y in (-half_height, half_height)])
    seen = apply_affine(transforms.double(), corners.double()).flatten(0, 2)
    return seen.amin(0), seen.amax(0)
