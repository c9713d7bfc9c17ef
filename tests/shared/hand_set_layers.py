"""A `LayeredFlow` whose numbers are set by hand, at rest but for what is changed."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from miva_core.bases.miramo.layered_flow import MASK_GUIDE, NEARNESS_GUIDE, LayeredFlow
from miva_core.bases.miramo.motion_basis import FRAME_PLACES, REGION_PLACES, TIME_FUNCTIONS, WAVES, LayerMotion

SINE_16, SWELL_16, SINE_8, SWELL_8, JUMP, PATH_X, PATH_Y = range(TIME_FUNCTIONS)
ONE, OFF_X, OFF_Y, HEIGHT, HEIGHT_SQUARED, *_ = range(REGION_PLACES + WAVES)
SIN_X_32, SIN_Y_32, SIN_X_16, SIN_Y_16, COS_X_32, COS_Y_32, COS_X_16, COS_Y_16 = range(
    REGION_PLACES, REGION_PLACES + WAVES
)
Terms = dict[tuple[int, int, int], float]
"""Field units by function of time, x (0) or y (1), and function of place."""


def motion(places: int, generator: Sequence[Sequence[float]] | None = None, terms: Terms | None = None) -> LayerMotion:
    """Of one clip: an affine velocity (2, 3) and amplitudes."""
    velocity = torch.zeros(2, 3) if generator is None else torch.tensor(generator)
    amplitudes = torch.zeros(TIME_FUNCTIONS, 2, places)
    for place, value in (terms or {}).items():
        amplitudes[place] = value
    return LayerMotion(velocity[None, None].double(), amplitudes[None, None].double())


def layers(
    mask: Tensor | None = None,
    nearness: Tensor | None = None,
    camera: LayerMotion | None = None,
    depth: Sequence[Sequence[float]] | None = None,
    staying: LayerMotion | None = None,
    carried: LayerMotion | None = None,
    **changed: Any,
) -> LayeredFlow:
    """Of one clip of 6 frames, guided by a mask or by a nearness, (H, W) each; float64.

    Args:
        **changed: fields that are to differ.
    """
    given = next((map_ for map_ in (mask, nearness) if map_ is not None), torch.zeros(32, 48))
    height, width = given.shape
    kind = MASK_GUIDE if mask is not None else NEARNESS_GUIDE if nearness is not None else 0
    velocity = torch.zeros(2, 3) if depth is None else torch.tensor(depth)
    fields = {
        "times": torch.arange(6.0),
        "path": None,
        "camera": camera or motion(FRAME_PLACES),
        "depth": velocity[None, None].double(),
        "staying": staying or motion(REGION_PLACES + WAVES),
        "carried": carried or motion(REGION_PLACES),
        "mask_logits": torch.zeros(1, height // 2, width // 2).double(),
        "nearness_logits": torch.zeros(1, height // 2, width // 2).double(),
        "residual": torch.zeros(1, 6, 2, height // 8, width // 8).double(),
        "guide": given[None].double(),
        "kind": torch.tensor([kind]),
    }
    return LayeredFlow(**(fields | changed))
