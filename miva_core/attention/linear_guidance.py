"""Guidance of linear attention: masks as factors of its similarities, which are products of low rank exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .cross_frame import CrossFrameBias
from .guidance import GridGuidance, pool
from .regions import agreement_codes, share_codes
from .softmax_attention import Codes


class LinearGuidance:
    """Guidance of linear attention by n masks of b clips.

    On coarser grids masks are averaged, which for two places is the mean over all pairs of their cells.

    Args:
        masks: (n, b, f, h, w) in [0, 1], one for each adapter.
        labels: (b, f, h, w), the mask on top, from `unify`.
        subjects: number of masks that were unified.
        grids: (height, width) of the model's feature maps.
        dtype: what attention computes in.
    """

    def __init__(
        self, masks: Tensor, labels: Tensor, subjects: int, grids: Sequence[tuple[int, int]], dtype: torch.dtype
    ) -> None:
        self._size = tuple(masks.shape[1:])
        regions = F.one_hot(labels, 1 + subjects).to(masks)
        self._by_tokens = {math.prod(grid): _on_grid(masks, regions, grid, dtype) for grid in grids}

    @property
    def size(self) -> tuple[int, ...]:
        return self._size

    def at(self, tokens: int) -> GridGuidance:
        return self._by_tokens[tokens]


def _on_grid(masks: Tensor, regions: Tensor, grid: tuple[int, int], dtype: torch.dtype) -> GridGuidance:
    """masks (n, b, f, h, w), regions (b, f, h, w, labels)"""
    gate = pool(masks[..., None], grid)[..., 0]
    # A share of ε would be lost beside 1 in half precision, and is no more than a row of numbers in full.
    codes = agreement_codes(gate)
    labels = share_codes(pool(regions, grid)).flatten(0, 1)
    over_time = codes.transpose(2, 3).flatten(1, 2)
    return GridGuidance(
        self_attention=Codes(labels, labels),
        cross_frame=CrossFrameBias(
            Codes(codes.flatten(2, 3), codes[:, :, 0]), Codes(codes[:, :, 2:], codes[:, :, 1:-1])
        ),
        temporal=Codes(over_time, over_time),
        gate=gate.to(dtype),
    )
