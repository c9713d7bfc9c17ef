"""What moves a picture in layers: a camera, depth, regions that stay where they are, and cut-outs that are carried.

Lengths are in field units, off the centre of what frame 1 is framed on, x to the right and y down. Times are in frames
of the motion, from 0, and may be any real number. Everything is a backward map: at a time t a place p of the frame
shows what frame 1 has at q, with

    q_c = camera(t) p
    q_d = seen(q_c, t, n(q)) + residual(p, t)
    q = q_d + sum of M(q_d) u(q_d, t) over what stays and draws along what is around it

and over that, from back to front, the cut-outs: q_k = s_k + u_k(s_k, t) with s_k = seen(q_c, t, n_k), as far as
m_k(q_k) covers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

Displacement = Callable[[np.ndarray, float], np.ndarray]
"""Places (h, w, 2) float32 in field units and a time to displacements (h, w, 2) in field units; none at time 0."""
DepthMove = Callable[[np.ndarray, float, np.ndarray | float], np.ndarray]
"""Places q_c (h, w, 2) float32, a time and nearnesses (h, w), or one for all, to the places (h, w, 2) of frame 1.

For one nearness it is affine.
"""
CameraPath = Callable[[float], np.ndarray]
"""A time to the matrix (2, 3), in field units, from places of the frame to those of frame 1; the identity at time 0."""


@dataclass(frozen=True, eq=False)
class Staying:
    """A region that moves inside of its bounds, as water and trees do.

    Attributes:
        name: of its motion.
        mask: (H, W) in [0, 1], of the picture in frame 1.
        displace: where its content comes from.
        period: frames after which it is as in frame 1, and goes on so; None where it never is: in a clip that is a loop
            two phases of it are then cross-faded.
        behind: whether all that the mask leaves out is in front of it, as of a sky: then the content moves on under
            that, else what is around it is drawn along softly, as around a tree.
    """

    name: str
    mask: np.ndarray
    displace: Displacement
    period: float | None = None
    behind: bool = False


@dataclass(frozen=True, eq=False)
class Carried:
    """A cut-out that moves over the picture.

    Attributes:
        name: of its motion.
        mask: (H, W) in [0, 1], of the picture in frame 1.
        displace: where its content comes from.
        period: as of `Staying`; one without goes there and back in a clip that is a loop.
    """

    name: str
    mask: np.ndarray
    displace: Displacement
    period: float | None = None


@dataclass(frozen=True, eq=False)
class Parallax:
    """What is near moves more.

    Attributes:
        nearness: (h, w) in [0, 1] of any size, which covers the picture; 1 is nearest.
        seen: where what is so near comes from.
    """

    nearness: np.ndarray
    seen: DepthMove


@dataclass(frozen=True, eq=False)
class LayeredMotion:
    """The motion of a whole picture.

    Attributes:
        grid: (height, width) in field units of what frame 1 is framed on.
        camera: of the whole frame.
        parallax: None where depth does not matter.
        staying: regions; where they overlap soft ones add up, and those behind hide earlier ones.
        carried: cut-outs from back to front.
        residual: what bends the ground beside that, by places of the frame; None for nothing.
    """

    grid: tuple[float, float]
    camera: CameraPath
    parallax: Parallax | None = None
    staying: Sequence[Staying] = ()
    carried: Sequence[Carried] = ()
    residual: Displacement | None = None


def masks_of(motion: LayeredMotion) -> dict[str, np.ndarray]:
    """The masks (H, W) of all regions and cut-outs, by name."""
    layers: list[Staying | Carried] = [*motion.staying, *motion.carried]
    return {layer.name: layer.mask for layer in layers}


def with_nearness_of(motion: LayeredMotion, size: Sequence[int]) -> LayeredMotion:
    """A motion whose nearness, if it has one, is that of each pixel of a picture of a size (height, width, ...)."""
    if motion.parallax is None:
        return motion
    nearness = motion.parallax.nearness.astype(np.float32)
    if nearness.shape != tuple(size[:2]):
        how = cv2.INTER_AREA if nearness.shape[1] > size[1] else cv2.INTER_CUBIC
        nearness = cv2.resize(nearness, (size[1], size[0]), interpolation=how).clip(0, 1)
    return replace(motion, parallax=replace(motion.parallax, nearness=nearness))
