"""Camera moves over a still picture: their exact transforms, the clips they give and the optical flow of these.

Coordinates are centred on the frame, in frame pixels, x to the right and y down. A move is an affine map per frame:
``transforms[i]`` sends a pixel of frame i to the place of frame 1 that it shows.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

Easing = Literal["linear", "ease-in", "ease-out", "ease-in-out"]
EASINGS: tuple[Easing, ...] = ("linear", "ease-in", "ease-out", "ease-in-out")


@dataclass(frozen=True)
class CameraMove:
    """The velocity of a camera. What it sees moves the opposite way: a pan to the left shows the scene drift right.

    Attributes:
        pan: (x, y) velocity of the camera, frame pixels per frame.
        zoom: logarithm of the magnification gained per frame; positive comes closer.
        roll: clockwise turn of the camera, radians per frame.
    """

    pan: tuple[float, float] = (0.0, 0.0)
    zoom: float = 0.0
    roll: float = 0.0


UNIT_MOVES: dict[str, CameraMove] = {
    "still": CameraMove(),
    "pan_left": CameraMove(pan=(-1.0, 0.0)),
    "pan_right": CameraMove(pan=(1.0, 0.0)),
    "pan_up": CameraMove(pan=(0.0, -1.0)),
    "pan_down": CameraMove(pan=(0.0, 1.0)),
    "zoom_in": CameraMove(zoom=0.024),
    "zoom_out": CameraMove(zoom=-0.024),
    "roll_cw": CameraMove(roll=math.radians(1.5)),
    "roll_ccw": CameraMove(roll=-math.radians(1.5)),
}
"""Each move at unit speed: 1 pixel, 2.4 % or 1.5° a frame, about the same flow at the edge of a 64-pixel frame."""
CAMERA_MOTIONS = tuple(name.replace("_", "-") for name in UNIT_MOVES if name != "still")
"""What people call them."""


def camera_transforms(pan: Tensor, zoom: Tensor, roll: Tensor, frames: int, easing: Easing = "linear") -> Tensor:
    """Compute the affine maps of camera moves.

    Args:
        pan: (B, 2) mean velocity, x and y in pixels per frame.
        zoom: (B,) mean log magnification per frame.
        roll: (B,) mean turn in radians per frame, clockwise.
        frames: number of frames F.
        easing: how the speed changes on the way; the last frame is where constant speed would bring it.

    Returns:
        (B, F, 2, 3); the map of the first frame is the identity.
    """
    return camera_maps(pan[:, None], zoom[:, None], roll[:, None], eased(frames, easing).to(pan))


def camera_maps(pan: Tensor, zoom: Tensor, roll: Tensor, way: Tensor) -> Tensor:
    """Compute the affine maps of camera moves that have gone some way.

    Args:
        pan: (…, 2) velocity, x and y in pixels per frame.
        zoom: (…) log magnification per frame.
        roll: (…) turn in radians per frame, clockwise.
        way: (…) how far they have gone, in frames at that velocity; all are broadcast against each other.

    Returns:
        (…, 2, 3).
    """
    scale, angle = torch.exp(-zoom * way), roll * way
    cos, sin = scale * angle.cos(), scale * angle.sin()
    shift = pan * way[..., None]
    return torch.stack(
        [torch.stack([cos, -sin, shift[..., 0]], -1), torch.stack([sin, cos, shift[..., 1]], -1)], dim=-2
    )


def eased(frames: int, easing: Easing) -> Tensor:
    """Compute how far a move has come at each frame, in frames of constant speed.

    Args:
        frames: number of frames F.
        easing: "linear" at constant speed, "ease-in" from rest (quadratic), "ease-out" to rest (quadratic), or
            "ease-in-out" from rest to rest (smoothstep).

    Returns:
        (F,) float64, from 0 to F - 1.
    """
    return ease(torch.linspace(0, 1, frames, dtype=torch.float64), easing) * (frames - 1)


def ease(way: Tensor, easing: Easing) -> Tensor:
    """Compute how far a move has come when constant speed would have come a share `way` of it, from 0 to 1 each."""
    return {
        "linear": way,
        "ease-in": way**2,
        "ease-out": 1 - (1 - way) ** 2,
        "ease-in-out": way**2 * (3 - 2 * way),
    }[easing]


def move_transforms(move: CameraMove, speed: float, frames: int, easing: Easing = "linear") -> Tensor:
    """Compute the affine maps of one move.

    Args:
        move: at its own velocity.
        speed: factor of that velocity.
        frames: number of frames F.
        easing: as in `camera_transforms`.

    Returns:
        (1, F, 2, 3), as from `camera_transforms`.
    """
    pan, zoom, roll = (torch.tensor([value]) * speed for value in (move.pan, move.zoom, move.roll))
    return camera_transforms(pan, zoom, roll, frames, easing)


def pixel_grid(height: int, width: int, device: torch.device | None = None) -> Tensor:
    """The coordinates (H, W, 2) of pixels, x first, off the centre."""
    y = torch.arange(height, device=device) - (height - 1) / 2
    x = torch.arange(width, device=device) - (width - 1) / 2
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


def apply_affine(transforms: Tensor, points: Tensor) -> Tensor:
    """Map points (..., H, W, 2) by affine maps (..., 2, 3)."""
    a = transforms[..., None, None, :, :]
    x, y = points[..., 0], points[..., 1]
    return torch.stack(
        [a[..., row, 0] * x + a[..., row, 1] * y + a[..., row, 2] for row in (0, 1)],
        dim=-1,
    )


def invert_affine(transforms: Tensor) -> Tensor:
    """Invert affine maps (..., 2, 3)."""
    linear = torch.linalg.inv(transforms[..., :2])
    return torch.cat([linear, -linear @ transforms[..., 2:]], dim=-1)


def compose_affine(outer: Tensor, inner: Tensor) -> Tensor:
    """Compose affine maps (..., 2, 3): `inner` is applied first, then `outer`."""
    linear = outer[..., :2] @ inner[..., :2]
    return torch.cat([linear, outer[..., :2] @ inner[..., 2:] + outer[..., 2:]], dim=-1)


def affine_flow(transforms: Tensor, height: int, width: int) -> Tensor:
    """Compute the exact forward flow between neighbouring frames.

    Args:
        transforms: (B, F, 2, 3) maps from pixels of each frame to places in the first one.
        height: H of the frames in pixels.
        width: W of the frames in pixels.

    Returns:
        (B, F-1, H, W, 2): by how many pixels, x first, what frame i shows at a pixel has moved in frame i+1.
    """
    grid = pixel_grid(height, width, transforms.device)
    places = apply_affine(transforms[:, :-1], grid)
    return apply_affine(invert_affine(transforms[:, 1:]), places) - grid


def film(pictures: Tensor, transforms: Tensor, height: int, width: int, scale: Tensor | float = 1.0) -> Tensor:
    """Film clips over still pictures: bilinear, reflected beyond the picture's edge.

    Args:
        pictures: (B, 3, H, W). The first frame shows their centre.
        transforms: (B, F, 2, 3), see `camera_transforms`.
        height: of the frames in pixels.
        width: of the frames in pixels.
        scale: picture pixels per frame pixel.

    Returns:
        (B, F, 3, height, width).
    """
    places = apply_affine(transforms, pixel_grid(height, width, pictures.device))
    places = places * torch.as_tensor(scale, device=pictures.device).reshape(-1, 1, 1, 1, 1)
    half = places.new_tensor([pictures.shape[-1] / 2, pictures.shape[-2] / 2])
    sampling = rearrange(places / half, "b f h w xy -> b (f h) w xy")
    clip = F.grid_sample(pictures, sampling, mode="bilinear", padding_mode="reflection", align_corners=False)
    return rearrange(clip, "b c (f h) w -> b f c h w", h=height)
