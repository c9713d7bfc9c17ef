"""How much a clip changes from frame to frame, by the likeness of its frames."""

from collections.abc import Callable, Collection
from itertools import pairwise

import torch
from torch import Tensor

from .frame_steps import measured_size, scaled
from .ms_ssim import ms_ssim


def dynamics(
    frames: Tensor, without: Collection[int] = (), on_frame: Callable[[int], object] = lambda _: None
) -> float:
    """Compute 1 - the mean MS-SSIM of neighbouring frames: 0 for a still clip, up to 1 (MiraMo, Eq. 13).

    Frames are compared at 384 pixels of their longer side, if they are larger, which also takes away noise.

    Args:
        frames: (F, H, W, 3) in [0, 1], at least two, with sides of at least 11 pixels.
        without: frames, counted from 1, that are not compared with the one before.
        on_frame: called after each of the frames 2..F with the number of those that are done.
    """
    size = measured_size((frames.shape[1], frames.shape[2]))
    pictures = (_planes(frame, size) for frame in frames)
    likeness = []
    for k, (earlier, later) in enumerate(pairwise(pictures), start=2):
        if k not in without:
            likeness.append(ms_ssim(earlier, later).item())
        on_frame(k - 1)
    return 1 - sum(likeness) / len(likeness)


def _planes(frame: Tensor, size: tuple[int, int]) -> Tensor:
    """(H, W, 3) as (1, 3, height, width)."""
    return torch.from_numpy(scaled(frame.detach().float().cpu().numpy(), size)).permute(2, 0, 1)[None].contiguous()
