"""What the subjects' masks say to attention: pooled to every grid of the model once, kept until the masks change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .attention import Bias, Codes, CrossFrameBias
from .errors import MIVAError
from .regions import EPSILON, RegionCodes, agreement_bias

_TILES = (64, 96, 128, 192, 256)
_FEW_TOKENS = 128
_RANK_OF_MASKS = 24


@dataclass(frozen=True)
class GridGuidance:
    """Guidance of B clips on a grid of s tokens a frame, for n adapters.

    Attributes:
        self_attention: bias by the unified labels S* (Eq. S6) of the base's self-attention: (B F, s, s), or
            (B, F s, F s) where that spans the frames.
        cross_frame: biases by each adapter's own mask (Eq. 3).
        temporal: the same over time at each place, (n, B s, F, F); None where no attention is over time alone.
        gate: each adapter's own mask, (n, B, F, s).
    """

    self_attention: Bias
    cross_frame: CrossFrameBias
    temporal: Tensor | None
    gate: Tensor


class Guidance:
    """Guidance by n masks of B clips, ready for all grids.

    Codes and biases are averaged from the masks' own grid to coarser ones, which equals interpolating the bias itself
    over queries and keys (B.1.1).

    Args:
        masks: (n, B, F, h, w) in [0, 1], one for each adapter.
        labels: (B, F, h, w), the mask on top, from `unify`.
        subjects: number of masks that were unified.
        grids: (height, width) of the model's feature maps.
        widths: channels per head of the model's self-attention.
        rank: length of the codes of a soft mask.
        spans_frames: whether self-attention spans all frames and there is no attention over time alone.
        dtype: what attention computes in.
    """

    def __init__(
        self,
        masks: Tensor,
        labels: Tensor,
        subjects: int,
        grids: Sequence[tuple[int, int]],
        widths: Sequence[int],
        rank: int,
        spans_frames: bool,
        dtype: torch.dtype,
    ) -> None:
        self._masks, self._regions = masks, F.one_hot(labels, 1 + subjects).to(masks)
        self._widths, self._rank, self._spans_frames, self._dtype = widths, rank, spans_frames, dtype
        self._by_tokens = {height * width: self._build((height, width)) for height, width in grids}

    def at(self, tokens: int) -> GridGuidance:
        """The guidance for a grid of so many tokens a frame.

        Raises:
            MIVAError: the masks are of another size than the latents that the model runs on.
        """
        if tokens not in self._by_tokens:
            height, width = self._masks.shape[-2:]
            raise MIVAError(f"The masks are {height}×{width}, which is not the grid of the latents: scale them to it.")
        return self._by_tokens[tokens]

    def _build(self, grid: tuple[int, int]) -> GridGuidance:
        return GridGuidance(
            self_attention=self._self_attention(grid),
            cross_frame=self._cross_frame(grid),
            temporal=None if self._spans_frames else self._temporal(grid),
            gate=pool(self._masks[..., None], grid)[..., 0].to(self._dtype),
        )

    def _self_attention(self, grid: tuple[int, int]) -> Bias:
        regions = pool(self._regions, grid)
        regions = regions.flatten(1, 2) if self._spans_frames else regions.flatten(0, 1)
        # log(1(S*_p = S*_q) + ε) but for a constant
        codes = Codes(math.log((1 + EPSILON) / EPSILON) * regions, regions)
        return self._cast(codes if self._codes_fit(regions.shape[1], regions.shape[2]) else _product(codes))

    def _cross_frame(self, grid: tuple[int, int]) -> CrossFrameBias:
        fit = self._codes_fit(math.prod(grid), self._rank)
        table = RegionCodes(self._rank if fit else _RANK_OF_MASKS)
        query, key = (pool(code(self._masks), grid) for code in (table.query, table.key))
        first = Codes(query.flatten(2, 3), key[:, :, 0])
        later = Codes(query[:, :, 2:], key[:, :, 1:-1])
        return CrossFrameBias(*(self._cast(codes if fit else _product(codes)) for codes in (first, later)))

    def _temporal(self, grid: tuple[int, int]) -> Tensor:
        over_time = self._masks.movedim(2, -1)  # (n, B, h, w, F)
        bias = agreement_bias(over_time, over_time)
        return pool(bias.flatten(-2), grid).unflatten(-1, bias.shape[-2:]).flatten(1, 2).to(self._dtype)

    def _codes_fit(self, tokens: int, rank: int) -> bool:
        return all(codes_fit(tokens, width, rank) for width in self._widths)

    def _cast(self, bias: Bias) -> Bias:
        return Codes(*(code.to(self._dtype) for code in bias)) if isinstance(bias, Codes) else bias.to(self._dtype)


def codes_fit(tokens: int, width: int, rank: int) -> bool:
    """Whether a bias goes into attention as codes rather than as an additive mask.

    Codes leave attention to the kernels that refuse masks, and their memory grows with the tokens, that of a mask with
    their square. But those kernels work on tiles of 64, 96, 128, 192 or 256 channels a head: codes cost nothing in what
    the heads leave free of their tile, and a larger tile where they do not fit. With few tokens a mask is small.

    Args:
        tokens: that are attended to. width: channels per head. rank: length of a code.
    """
    tile = next((tile for tile in _TILES if tile >= width), width)
    return tokens >= _FEW_TOKENS and rank <= tile - width


def unify(masks: Tensor) -> Tensor:
    """S* (Eq. S5): (m, ...) soft masks give (...) labels, 0 the background, j where mask j has the most of a place and
    more than half. The last of equal masks wins: it is on top."""
    best, index = masks.flip(0).max(dim=0)
    return torch.where(best > 0.5, len(masks) - index, 0)


def pool(values: Tensor, grid: tuple[int, int]) -> Tensor:
    """Averages over the cells of a coarser grid: (..., h, w, c) gives (..., height * width, c)."""
    *leading, height, width, channels = values.shape
    maps = values.reshape(-1, height, width, channels).movedim(-1, 1)
    return F.adaptive_avg_pool2d(maps, grid).flatten(2).mT.reshape(*leading, -1, channels)


def halvings(height: int, width: int) -> list[tuple[int, int]]:
    """The grids of a U-Net, each half of the one before it, rounded up, down to a single place."""
    grids = [(height, width)]
    while grids[-1] != (1, 1):
        height, width = (height + 1) // 2, (width + 1) // 2
        grids.append((height, width))
    return grids


def _product(codes: Codes) -> Tensor:
    return codes.query @ codes.key.mT
