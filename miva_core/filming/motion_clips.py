"""Training clips of a motion, filmed over stills: crops and sub-pixel transforms (paper, D.2), or layers that move."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ..clips.camera import apply_affine, compose_affine, film, invert_affine, pixel_grid
from ..errors import MIVAError
from ..media.pictures import format_size
from .layered_shot import film_layers
from .shooting import CLOSEST, LEAST_SCALE, OVERSAMPLING, SAMPLES, Shooting
from .still import Still, with_needed_maps

CLIPS_PER_STILL = 5
_TRIES = 8
"""Crops that are looked at for one that shows what moves."""
_MOST_COVERED = 0.9
"""Share of a crop from which on what moves leaves hardly anything at rest beside it."""


@dataclass(frozen=True, eq=False)
class MotionClip:
    """A clip filmed over a still.

    Attributes:
        frames: (F, 3, H, W) in [0, 1].
        masks: (K, F, H, W) in [0, 1], of what moves by itself: K is 1, or 0 where nothing does.
        flow: (F, 3, H, W) backward flow to the first frame in pixels, x first, and trust: 0 where that frame does not
            show what is seen.
        formula: what the flow follows from, as numbers and texts.
        maps: (H, W) by name, what it follows from beside that, as "mask" and "nearness" of the first frame.
        pace: its speed, relative to that of the shooting.
    """

    frames: Tensor
    masks: Tensor
    flow: Tensor
    formula: Mapping[str, Any]
    maps: Mapping[str, Tensor]
    pace: float = 1.0


def film_still(still: Still, shooting: Shooting, generator: torch.Generator) -> MotionClip:
    """Film a random part of a still, so that the camera stays on it all the way.

    Args:
        still: with the map that the motion needs, and no other.
        shooting: how it is filmed.
        generator: draws the part, and the path of a shake.

    Raises:
        MIVAError: the picture is too small: below half a picture pixel per frame pixel.
    """
    _check_large_enough([still], shooting)
    scale, aim = _crop(still, shooting, generator)
    if shooting.field.kind == "camera" or (shooting.field.kind == "shake" and still.mask is None):
        seed = _drawn_seed(generator) if shooting.field.kind == "shake" else 0
        return _affine_clip(still.picture, shooting, scale, aim, seed)
    return MotionClip(*film_layers(still, shooting, scale, aim, _drawn_seed(generator)))


def film_stills(stills: Sequence[Still], shooting: Shooting, seed: int) -> Iterator[tuple[str, MotionClip]]:
    """Film `CLIPS_PER_STILL` clips of each still, one after another.

    Args:
        stills: with the maps that there are, see `with_needed_maps`.
        shooting: how they are filmed.
        seed: of all random draws.

    Returns:
        The name of each clip, and the clip.

    Raises:
        MIVAError: some stills are too small, or a mask is missing. It is raised before any is filmed, and names all of
            them.
    """
    ready = with_needed_maps(stills, shooting.field)
    _check_large_enough(ready, shooting.at(shooting.paces[1]))
    generator = torch.Generator().manual_seed(seed)
    return (
        (f"{still.name}_{k + 1}", _film_paced(still, shooting, _pace(shooting, k, generator), generator))
        for still in ready
        for k in range(CLIPS_PER_STILL)
    )


def _film_paced(still: Still, shooting: Shooting, pace: float, generator: torch.Generator) -> MotionClip:
    return replace(film_still(still, shooting.at(pace), generator), pace=pace)


def _pace(shooting: Shooting, k: int, generator: torch.Generator) -> float:
    """The pace of the k-th clip of a still, drawn from the k-th of equal parts."""
    slowest, fastest = shooting.paces
    if slowest == fastest:
        return slowest
    return slowest + (fastest - slowest) * (k + torch.rand(1, generator=generator).item()) / CLIPS_PER_STILL


def _affine_clip(picture: Tensor, shooting: Shooting, scale: float, aim: Tensor, seed: int) -> MotionClip:
    """Film a part of a picture (H, W, 3) by affine maps; the other arguments as for `film_layers`."""
    transforms = shooting.transforms(seed)
    canvas = F.interpolate(
        rearrange(picture, "h w c -> 1 c h w"),
        size=[max(1, round(n / scale * SAMPLES * OVERSAMPLING)) for n in picture.shape[:2]],
        mode="bicubic",
        antialias=True,
    ).clamp(0, 1)
    moved = transforms.clone()
    moved[:, :, 2] = SAMPLES * (moved[:, :, 2] + aim.to(moved))
    height, width = (SAMPLES * side for side in shooting.size)
    frames = F.avg_pool2d(film(canvas, moved[None], height, width, scale=OVERSAMPLING)[0], SAMPLES)
    grid = pixel_grid(*shooting.size)
    flow = (apply_affine(transforms, grid) - grid).movedim(-1, 1)
    return MotionClip(
        frames,
        torch.zeros(0, len(frames), *shooting.size),
        torch.cat([flow, torch.ones_like(flow[:, :1])], 1),
        {"width": shooting.size[1], "height": shooting.size[0], "flow": _steps(transforms)},
        {},
    )


def _steps(transforms: Tensor) -> list[list[list[float]]]:
    """The exact forward flow between neighbouring frames: a 2×3 matrix for each frame but the last."""
    steps = compose_affine(invert_affine(transforms[1:].double()), transforms[:-1].double())
    return (steps - torch.eye(2, 3, dtype=torch.float64)).tolist()


def _crop(still: Still, shooting: Shooting, generator: torch.Generator) -> tuple[float, Tensor]:
    """Draw a part of a still, of several the first that shows well what moves by itself.

    Returns:
        Picture pixels per frame pixel, and (2,) where on the picture the first frame's centre is, x and y in frame
        pixels off the picture's own centre.
    """
    drawn = _drawn_crop(still.picture, shooting, generator)
    if still.mask is None:
        return drawn
    best, most = drawn, -1.0
    for _ in range(_TRIES):
        covered, inside = _seen_of(still.mask, shooting.size, *drawn)
        seen = inside if covered < _MOST_COVERED else 0.0
        if seen > most:
            best, most = drawn, seen
        if most > 0.5:
            break
        drawn = _drawn_crop(still.picture, shooting, generator)
    return best


def _drawn_crop(picture: Tensor, shooting: Shooting, generator: torch.Generator) -> tuple[float, Tensor]:
    low, high = shooting.footprint()
    available = _sides(picture)
    widest = _widest_scale(picture, shooting)
    scale = max(LEAST_SCALE, widest * (CLOSEST + (1 - CLOSEST) * torch.rand(1, generator=generator).item()))
    slack = available / scale - (high - low)
    corner = slack * torch.rand(2, generator=generator, dtype=torch.float64)
    return scale, corner - low - available / scale / 2


def _seen_of(mask: Tensor, size: tuple[int, int], scale: float, aim: Tensor) -> tuple[float, float]:
    """What share of a crop a mask (H, W) covers, and what share of the mask the crop shows; see `_crop`."""
    centre = _sides(mask) / 2 + aim * scale
    half = torch.tensor([size[1], size[0]]) * scale / 2
    (left, top), (right, bottom) = ((centre + side).round().long().tolist() for side in (-half, half))
    part = mask[max(0, top) : bottom, max(0, left) : right]
    return part.mean().item(), (part.sum() / mask.sum()).item()


def _drawn_seed(generator: torch.Generator) -> int:
    return int(torch.randint(2**31, (1,), generator=generator))


def _widest_scale(picture: Tensor, shooting: Shooting) -> float:
    """Picture pixels per frame pixel where the move takes up all of a picture (H, W, 3)."""
    low, high = shooting.footprint()
    return (_sides(picture) / (high - low)).amin().item()


def _check_large_enough(stills: Sequence[Still], shooting: Shooting) -> None:
    small = [
        f"{still.name} ({format_size(still.picture.shape)})"
        for still in stills
        if _widest_scale(still.picture, shooting) < LEAST_SCALE
    ]
    if small:
        low, high = shooting.footprint()
        width, height = ((high - low) * LEAST_SCALE).ceil().long().tolist()
        raise MIVAError(
            f"Too small for this motion at this size and speed, which needs {width}×{height} pixels at least; replace "
            f"or remove them: {', '.join(small)}."
        )


def _sides(picture: Tensor) -> Tensor:
    """Width and height in pixels, (2,)."""
    return torch.tensor([picture.shape[1], picture.shape[0]], dtype=torch.float64)
