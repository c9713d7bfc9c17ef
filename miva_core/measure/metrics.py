"""Measure motion by optical flow, and compare pictures. For evaluation, not for training.

Flow fields are (..., H, W, 2) in pixels per frame: x to the right, then y downwards. Frames are RGB in [0, 1].
"""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from ..errors import MIVAError
from ..media.pixel_values import to_bytes


def flow(frame_a: Tensor, frame_b: Tensor) -> Tensor:
    """Compute dense optical flow from one frame to the next (Farneback, OpenCV).

    Args:
        frame_a: (H, W, 3) float in [0, 1].
        frame_b: (H, W, 3), the later frame.

    Returns:
        (H, W, 2) float32: what is at p in `frame_a` is at p + flow[p] in `frame_b`.

    Raises:
        MIVAError: a frame is not (H, W, 3), or the two differ in size.
    """
    import cv2

    for frame in (frame_a, frame_b):
        if frame.ndim != 3 or frame.shape[-1] != 3 or not frame.is_floating_point():
            raise MIVAError(f"A frame must be a float tensor (H, W, 3), but it is {tuple(frame.shape)} {frame.dtype}.")
    if frame_a.shape != frame_b.shape:
        raise MIVAError(
            f"Two frames of one size are needed, but they are {tuple(frame_a.shape)} and {tuple(frame_b.shape)}."
        )
    first, second = (
        cv2.cvtColor(to_bytes(frame.detach().float()).cpu().numpy(), cv2.COLOR_RGB2GRAY) for frame in (frame_a, frame_b)
    )
    # Fixed settings, so that two reports can be compared. The wide window suits the soft textures of generated clips;
    # the flow is smooth and a few per cent too low, more so near the borders where pixels enter the picture.
    field = cv2.calcOpticalFlowFarneback(
        first,
        second,
        np.zeros((*first.shape, 2), np.float32),
        pyr_scale=0.5,
        levels=4,
        winsize=15,
        iterations=5,
        poly_n=5,
        poly_sigma=1.1,
        flags=0,
    )
    return torch.from_numpy(field)


def clip_flow(frames: Tensor) -> Tensor:
    """Compute the flow between neighbouring frames of a clip.

    Args:
        frames: (F, H, W, 3) float in [0, 1], at least two.

    Returns:
        (F-1, H, W, 2) float32, see `flow`.

    Raises:
        MIVAError: fewer than two frames, or not (F, H, W, 3).
    """
    if frames.ndim != 4 or len(frames) < 2:
        raise MIVAError(f"Flow needs a clip (F, H, W, 3) of at least two frames, but it is {tuple(frames.shape)}.")
    return torch.stack([flow(a, b) for a, b in pairwise(frames)])


def median_flow(field: Tensor, mask: Tensor | None = None) -> Tensor:
    """Compute the median displacement over all pixels and frames, which is the speed of a camera pan.

    Args:
        field: (..., H, W, 2) flow.
        mask: (H, W) or (..., H, W); only pixels above 0.5 count, all of them with None.

    Returns:
        (2,) pixels per frame, x then y; the median of each component.

    Raises:
        MIVAError: the mask does not fit the flow or selects nothing.
    """
    return field[_selection(field, mask)].median(dim=0).values


def expansion(field: Tensor, mask: Tensor | None = None) -> float:
    """Compute the zoom rate e of the least-squares fit flow(p) = v + e (p - centre), with one e and a v for each frame.

    Args:
        field: (..., H, W, 2) flow.
        mask: as for `median_flow`; the centre is then that of the selected pixels.

    Returns:
        Relative growth per frame: 0.01 is a picture that grows by 1 % a frame, below 0 it shrinks.

    Raises:
        MIVAError: the mask does not fit the flow or selects too little to see a growth.
    """
    weight = _selection(field, mask).to(field.dtype).unsqueeze(-1)
    h, w = field.shape[-3:-1]
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    position = torch.stack([x, y], dim=-1).to(field)
    count = weight.sum((-3, -2), keepdim=True).clamp(min=1)

    def centred(vectors: Tensor) -> Tensor:
        return (vectors - (vectors * weight).sum((-3, -2), keepdim=True) / count) * weight

    offset = centred(position)
    spread = offset.square().sum()
    if spread == 0:
        raise MIVAError("The mask selects single pixels, but an expansion needs a region: select a larger one.")
    return ((centred(field) * offset).sum() / spread).item()


def rotation(field: Tensor) -> float:
    """Compute the rate w of a turn about the centre, by the same fit as `expansion`: flow(p) = v + w (-y, x).

    Args:
        field: (..., H, W, 2) flow.

    Returns:
        Radians per frame, clockwise on the screen.
    """
    # Turned back by a right angle, it is an expansion.
    return expansion(torch.stack([field[..., 1], -field[..., 0]], dim=-1))


def psnr(a: Tensor, b: Tensor) -> float:
    """Compute the peak signal-to-noise ratio of two pictures or clips.

    Args:
        a: (..., H, W, C) float in [0, 1].
        b: of the same shape.

    Returns:
        10 log10(1 / mean squared difference) in dB; infinity for equal inputs.

    Raises:
        MIVAError: the shapes differ.
    """
    if a.shape != b.shape:
        raise MIVAError(f"PSNR compares equal shapes, but they are {tuple(a.shape)} and {tuple(b.shape)}.")
    return -10 * (a.double() - b.double()).square().mean().log10().item()


def _selection(field: Tensor, mask: Tensor | None) -> Tensor:
    """The pixels that a mask selects: bool, of the shape of `field` without its last axis."""
    shape = field.shape[:-1]
    if mask is None:
        return torch.ones(shape, dtype=torch.bool, device=field.device)
    if mask.shape not in (shape, shape[-2:]):
        raise MIVAError(f"The mask is {tuple(mask.shape)}, but it must be {tuple(shape[-2:])} or {tuple(shape)}.")
    selected = (mask.to(field.device) > 0.5).expand(shape)
    if not selected.any():
        raise MIVAError("The mask selects no pixel: at least one must be above 0.5.")
    return selected
