"""Training clips of a camera motion, filmed over stills by crops and sub-pixel transforms (paper, D.2)."""

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
from .camera import (
    CAMERA_MOTIONS,
    EASINGS,
    UNIT_MOVES,
    Easing,
    affine_flow,
    apply_affine,
    compose_affine,
    film,
    invert_affine,
    move_transforms,
)

CLIPS_PER_STILL = 5
_UNIT_WIDTH = 64
"""Pixels of the frame width at which a pan of unit speed is one pixel a frame."""
_SAMPLES = 2
"""Samples along each side of a frame pixel, which is their mean: with one sample, some frames would be blurrier."""
_OVERSAMPLING = 1.2
"""Picture pixels per sample."""
_CLOSEST = 0.7
"""Scale of the closest crop, relative to the widest one that the move allows."""
PACES = (0.25, 1.25)
"""Of clips from which a degree is learnt, see `Shooting`. Speeds spread so that the usual one is well inside."""
_LEAST_SCALE = 0.5
"""Picture pixels per frame pixel; below that clips would be blurry."""


@dataclass(frozen=True)
class CameraClip:
    """A clip filmed over a still.

    Attributes:
        frames: (F, 3, H, W) in [0, 1].
        transforms: (F, 2, 3), see `camera`.
        pace: its speed, relative to that of the shooting.
    """

    frames: Tensor
    transforms: Tensor
    pace: float = 1.0

    def flow(self) -> Tensor:
        """Exact forward flow between neighbouring frames, (F-1, H, W, 2) in pixels."""
        return affine_flow(self.transforms[None], *self.frames.shape[-2:])[0]


@dataclass(frozen=True)
class Shooting:
    """How stills are filmed.

    Args:
        motion: one of `CAMERA_MOTIONS`.
        size: (height, width) of the clips in pixels.
        frames: number of frames of each clip.
        speed: above 0 and up to 10. At 1 a pan covers 1/64 of the frame's width per frame, a zoom 2.4 % of size and a
            roll 1.5°; half of that is slow, twice is fast.
        easing: how the speed changes, see `camera.eased`.
        paces: the slowest and the fastest speed of a clip, relative to `speed`; those of a still are spread between
            them.

    Raises:
        MIVAError: an unknown motion or easing, or a speed out of range.
    """

    motion: str
    size: tuple[int, int]
    frames: int
    speed: float = 1.0
    easing: Easing = "linear"
    paces: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        if self.motion not in CAMERA_MOTIONS:
            raise MIVAError(f"{self.motion!r} is no camera motion; known are {', '.join(CAMERA_MOTIONS)}.")
        if self.easing not in EASINGS:
            raise MIVAError(f"{self.easing!r} is no easing; known are {', '.join(EASINGS)}.")
        most = 10 / self.paces[1]
        if not (is_number(self.speed) and 0 < self.speed <= most):
            raise MIVAError(f"The speed is {self.speed!r}, expected a number above 0 and up to {most:g}.")

    @property
    def needed_side(self) -> int:
        """Pixels along the shorter side of a still beyond which clips do not become sharper."""
        low, high = _footprint(self.at(self.paces[1]).transforms(), self.size)
        return round(_SAMPLES * _OVERSAMPLING / _CLOSEST * (high - low).amax().item())

    def at(self, pace: float) -> "Shooting":
        """The same at a speed relative to its own, and at no other."""
        return replace(self, speed=self.speed * pace, paces=(1.0, 1.0))

    def transforms(self) -> Tensor:
        """The affine map of each frame, (F, 2, 3), see `camera`."""
        move = UNIT_MOVES[self.motion.replace("-", "_")]
        width = self.size[1] / _UNIT_WIDTH
        move = replace(move, pan=(move.pan[0] * width, move.pan[1] * width))
        return move_transforms(move, self.speed, self.frames, self.easing)[0]


def film_still(picture: Tensor, shooting: Shooting, generator: torch.Generator) -> CameraClip:
    """Film a random part of a picture, so that the camera stays on it all the way.

    Args:
        picture: (H, W, 3) in [0, 1].
        shooting: how it is filmed.
        generator: draws the part.

    Raises:
        MIVAError: the picture is too small: below half a picture pixel per frame pixel.
    """
    transforms = shooting.transforms()
    low, high = _footprint(transforms, shooting.size)
    available = _sides(picture)
    _check_large_enough([("the still", picture)], shooting)
    widest = _widest_scale(picture, shooting)
    scale = max(_LEAST_SCALE, widest * (_CLOSEST + (1 - _CLOSEST) * torch.rand(1, generator=generator).item()))
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
    """Picture pixels per frame pixel where the move takes up all of a picture (H, W, 3)."""
    low, high = _footprint(shooting.transforms(), shooting.size)
    return (_sides(picture) / (high - low)).amin().item()


def _check_large_enough(stills: Sequence[tuple[str, Tensor]], shooting: Shooting) -> None:
    small = [
        f"{name} ({format_size(picture.shape)})"
        for name, picture in stills
        if _widest_scale(picture, shooting) < _LEAST_SCALE
    ]
    if small:
        low, high = _footprint(shooting.transforms(), shooting.size)
        width, height = ((high - low) * _LEAST_SCALE).ceil().long().tolist()
        raise MIVAError(
            f"Too small for this motion at this size and speed, which needs {width}×{height} pixels at least; replace "
            f"or remove them: {', '.join(small)}."
        )


def film_stills(
    stills: Sequence[tuple[str, Tensor]], shooting: Shooting, seed: int
) -> Iterator[tuple[str, CameraClip]]:
    """Film `CLIPS_PER_STILL` clips of each still, one after another.

    Args:
        stills: the name of each and the picture (H, W, 3) in [0, 1].
        shooting: how they are filmed.
        seed: of all random draws.

    Returns:
        The name of each clip, and the clip.

    Raises:
        MIVAError: some stills are too small. It is raised before any is filmed, and names all of them.
    """
    _check_large_enough(stills, shooting.at(shooting.paces[1]))
    generator = torch.Generator().manual_seed(seed)
    return (
        (f"{name}_{k + 1}", _film_paced(picture, shooting, _pace(shooting, k, generator), generator))
        for name, picture in stills
        for k in range(CLIPS_PER_STILL)
    )


def _film_paced(picture: Tensor, shooting: Shooting, pace: float, generator: torch.Generator) -> CameraClip:
    return replace(film_still(picture, shooting.at(pace), generator), pace=pace)


def _pace(shooting: Shooting, k: int, generator: torch.Generator) -> float:
    """The pace of the k-th clip of a still, drawn from the k-th of equal parts."""
    slowest, fastest = shooting.paces
    if slowest == fastest:
        return slowest
    return slowest + (fastest - slowest) * (k + torch.rand(1, generator=generator).item()) / CLIPS_PER_STILL


def write_flow(clip: CameraClip, path: Path) -> None:
    """Write the exact flow of a clip as JSON: a 2×3 matrix A for each frame but the last.

    The flow at a pixel is A (x, y, 1), in pixels, with x and y in pixels off the centre of the frame.

    Args:
        clip: the clip.
        path: the file; an older one is replaced.

    Raises:
        MIVAError: the file cannot be written.
    """
    steps = compose_affine(invert_affine(clip.transforms[1:].double()), clip.transforms[:-1].double())
    steps = steps - torch.eye(2, 3, dtype=torch.float64)
    height, width = clip.frames.shape[-2:]
    with replacing(path) as temporary:
        temporary.write_text(json.dumps({"width": width, "height": height, "flow": steps.tolist()}))


def _sides(picture: Tensor) -> Tensor:
    """Width and height in pixels, (2,)."""
    return torch.tensor([picture.shape[1], picture.shape[0]], dtype=torch.float64)


def _footprint(transforms: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The lowest and highest coordinates (x, y) that a move sees, in frame pixels off the centre of the first frame."""
    half_height, half_width = (n / 2 for n in size)
    corners = torch.tensor([[[x, y] for x in (-half_width, half_width)] for y in (-half_height, half_height)])
    seen = apply_affine(transforms.double(), corners.double()).flatten(0, 2)
    return seen.amin(0), seen.amax(0)
