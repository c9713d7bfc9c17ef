"""Which part of a scene is seen where nearer ones have moved before farther ones."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

SAME_SURFACE = 0.19
"""Nearnesses that differ by more are of different things, with an edge between them."""


def shown_nearness(
    nearness: Tensor, seen: Callable[[Tensor], Tensor], extent: tuple[float, float], levels: int = 8
) -> Tensor:
    """Compute the nearness of what each place shows: the nearest thing that gets there.

    Args:
        nearness: (H, W), or (B, H, W) for a batch, in [0, 1]: of frame 1, 0 far to 1 near.
        seen: from a nearness, () or as this function returns it, to the places (…, 2) of frame 1 that would be seen
            were all of it as near; for a batch (B, …, 2).
        extent: (height, width) of what `nearness` covers, in the places' units, around their origin.
        levels: steps from far to near at which is looked.

    Returns:
        (…), the places' shape: the largest n for which frame 1 is as near as n where n would be seen. It is looked for
        between the levels by a secant and one step of the fixed-point iteration, and differentiable.
    """
    return nearest_shown(lambda near: at_places(nearness, seen(near), extent), nearness.new_zeros(()), levels)


def nearest_shown(there: Callable[[Tensor], Tensor], far: Tensor, levels: int = 8) -> Tensor:
    """Compute `shown_nearness` of a scene that is known by what is there.

    Args:
        there: from a nearness, () or as this function returns it, to how near frame 1 is, (…), at the places that would
            be seen were all of it as near.
        far: () 0.
        levels: steps from far to near at which is looked.
    """
    step, near = 1 / levels, far
    above = there(near)
    shown = torch.zeros_like(above)
    for level in range(1, levels + 1):
        behind, near = near, far + level * step
        above_behind, above = above, there(near) - near
        crossing = behind + step * above_behind / (above_behind - above).clamp(min=1e-6)
        shown = torch.where((above_behind >= 0) & (above < 0), crossing, shown)
    shown = torch.where(above >= 0, near, shown)
    again = there(shown)
    return torch.where((again - shown).abs() < SAME_SURFACE, again, shown)


def at_places(values: Tensor, places: Tensor, extent: tuple[float, float]) -> Tensor:
    """Sample a map bilinearly; beyond its edge it goes on as it ends.

    Args:
        values: (H, W), or (B, H, W) for a batch.
        places: (…, 2), or (B, …, 2) for a batch: x and y off the centre.
        extent: (height, width) of what the map covers, in the places' units.

    Returns:
        (…), or (B, …).
    """
    half = places.new_tensor([extent[1] / 2, extent[0] / 2])
    maps = values.reshape(-1, 1, *values.shape[-2:])
    grid = (places / half).reshape(len(maps), 1, -1, 2)
    found = F.grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return rearrange(found, "b 1 1 n -> (b n)").reshape(places.shape[:-1])
