"""Biases and gates by which the subjects' masks guide attention, made once for all grids of the model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import MIVAError
from .cross_frame import CrossFrameBias
from .regions import EPSILON, RegionCodes, agreement_bias
from .softmax_attention import Bias, Codes

_TILES = (64, 96, 128, 192, 256)
_FEW_TOKENS = 128
_LARGE_MASK = 2**26
_RANK_OF_MASKS = 24


@dataclass(frozen=True)
class GridGuidance:
    """Guidance of b clips on a grid of s tokens a frame, for n adapters.

    Attributes:
        self_attention: bias by the unified labels S* (Eq. S6) of the base's self-attention: (b f, s, s), or
            (b, f s, f s) where that spans the frames.
        cross_frame: biases by each adapter's own mask (Eq. 3).
        temporal: the same over time at each place, (n, b s, f, f) or codes of it; None where no attention is over time
            alone.
        gate: each adapter's own mask, (n, b, f, s).
    """

    self_attention: Bias
    cross_frame: CrossFrameBias
    temporal: Bias | None
    gate: Tensor


class Guidance(Protocol):
    """Guidance by masks of b clips, ready for all grids of a model and for its kind of attention."""

    @property
    def size(self) -> tuple[int, ...]:
        """(b, f, h, w) of the masks."""
        ...

    def at(self, tokens: int) -> GridGuidance:
        """The guidance for a grid of `tokens` tokens a frame."""
        ...


class SoftmaxGuidance:
    """Guidance of softmax attention by n masks of b clips.

    Codes and biases are averaged from the masks' own grid to coarser ones, which equals interpolating the bias itself
    over queries and keys (B.1.1).

    Args:
        masks: (n, b, f, h, w) in [0, 1], one for each adapter.
        labels: (b, f, h, w), the mask on top, from `unify`.
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
        self._size = tuple(masks.shape[1:])
        self._widths, self._rank, self._spans_frames, self._dtype = widths, rank, spans_frames, dtype
        regions = F.one_hot(labels, 1 + subjects).to(masks)
        coarse, fine = (_looked_up(RegionCodes(length), masks) for length in (rank, _RANK_OF_MASKS))
        over_time = None if spans_frames else _over_time(masks)
        self._by_tokens = {
            math.prod(grid): GridGuidance(
                self_attention=self._self_attention(pool(regions, grid)),
                cross_frame=self._cross_frame(coarse, fine, grid),
                temporal=None if over_time is None else self._temporal(pool(over_time, grid)),
                gate=pool(masks[..., None], grid)[..., 0].to(dtype),
            )
            for grid in grids
        }

    @property
    def size(self) -> tuple[int, ...]:
        return self._size

    def at(self, tokens: int) -> GridGuidance:
        return self._by_tokens[tokens]

    def _self_attention(self, regions: Tensor) -> Bias:
        """regions (b, f, s, labels), the share of each in every place."""
        regions = regions.flatten(1, 2) if self._spans_frames else regions.flatten(0, 1)
        # Kernels want widths that are multiples of 8.
        regions = F.pad(regions, (0, -regions.shape[-1] % 8))
        # log(1(S*_p = S*_q) + ε) but for a constant
        codes = Codes(math.log((1 + EPSILON) / EPSILON) * regions, regions)
        rows, tokens, length = regions.shape
        return self._cast(codes if self._prefers_codes(rows * tokens, tokens, length) else _product(codes))

    def _cross_frame(self, coarse: Codes, fine: Codes, grid: tuple[int, int]) -> CrossFrameBias:
        n, clips, frames = coarse.query.shape[:3]
        tokens = math.prod(grid)
        as_codes = self._prefers_codes(n * clips * frames * tokens, tokens, self._rank)
        query, key = (pool(code, grid) for code in (coarse if as_codes else fine))
        if as_codes:
            query, key = self._cast(Codes(query, key))  # before they are cut, so that both references share them
        first = Codes(query.flatten(2, 3), key[:, :, 0])
        third_on = Codes(query[:, :, 2:], key[:, :, 1:-1])
        return CrossFrameBias(*(codes if as_codes else self._cast(_product(codes)) for codes in (first, third_on)))

    def _temporal(self, bias: Tensor) -> Tensor:
        """bias (n, b, s, f f)"""
        return bias.unflatten(-1, (self.size[1], -1)).flatten(1, 2).to(self._dtype)

    def _prefers_codes(self, queries: int, keys: int, rank: int) -> bool:
        return all(prefers_codes(queries, keys, width, rank) for width in self._widths)

    def _cast(self, bias: Bias) -> Bias:
        return Codes(*(code.to(self._dtype) for code in bias)) if isinstance(bias, Codes) else bias.to(self._dtype)


def prefers_codes(queries: int, keys: int, width: int, rank: int) -> bool:
    """Whether a bias goes into attention as codes rather than as an additive mask.

    Codes leave attention to the kernels that refuse masks, and their memory grows with the tokens, that of a mask with
    their square. But those kernels work on tiles of 64, 96, 128, 192 or 256 channels a head: codes cost nothing in what
    the heads leave free of their tile, and a larger tile where they do not fit. So a mask is taken where there are few
    tokens, and where codes do not fit, unless the mask would be very large.

    Args:
        queries: tokens in all rows of the batch.
        keys: tokens that each query attends to.
        width: channels per head.
        rank: length of the codes.
    """
    tile = next((tile for tile in _TILES if tile >= width), width)
    return keys >= _FEW_TOKENS and (rank <= tile - width or queries * keys > _LARGE_MASK)


def unify(masks: Tensor) -> Tensor:
    """Merge overlapping soft masks into one map of labels S* (Eq. S5).

    Args:
        masks: (m, ...) in [0, 1].

    Returns:
        (...) labels: j, from 1, where mask j is the largest and above one half, else 0, the background. The last of
        equal masks wins: it is on top.
    """
    best, index = masks.flip(0).max(dim=0)
    return torch.where(best > 0.5, len(masks) - index, 0)


def check_masks(masks: Mapping[str, Tensor], names: Sequence[str]) -> None:
    """Check that masks are those of the named adapters, and of one size.

    Raises:
        MIVAError: one is missing or one too many, or they are not (b, f, h, w) of one size.
    """
    if set(masks) != set(names):
        raise MIVAError(f"Masks were given for {list(masks)}, but the adapters with masks are {list(names)}.")
    shapes = {tuple(mask.shape) for mask in masks.values()}
    if len(shapes) != 1 or any(len(shape) != 4 for shape in shapes):
        raise MIVAError(f"Masks must all be (b, F, h, w) of one size, but they are {sorted(shapes)}.")


def layered(masks: Mapping[str, Tensor], adapters: Iterable[str]) -> tuple[Tensor, Tensor]:
    """The regions of all adapters, of those without a mask where no subject is.

    Args:
        masks: (b, f, h, w) in [0, 1] by adapter, the last one on top.
        adapters: all of them, in their order.

    Returns:
        Masks (n, b, f, h, w), and labels (b, f, h, w) from `unify`.
    """
    labels = unify(torch.stack(list(masks.values())))
    background = (labels == 0).to(next(iter(masks.values())).dtype)
    return torch.stack([masks.get(name, background) for name in adapters]), labels


def pool(values: Tensor, grid: tuple[int, int]) -> Tensor:
    """Average over the cells of a coarser grid.

    Args:
        values: (..., h, w, c)
        grid: (height, width)

    Returns:
        (..., height * width, c)
    """
    *leading, height, width, channels = values.shape
    maps = values.reshape(-1, height, width, channels).movedim(-1, 1)
    return F.adaptive_avg_pool2d(maps, grid).flatten(2).mT.reshape(*leading, -1, channels)


def halvings(height: int, width: int) -> list[tuple[int, int]]:
    """The grids of a U-Net: each is half as high and wide as the one before it, rounded up, down to a single place."""
    grids = [(height, width)]
    while grids[-1] != (1, 1):
        height, width = (height + 1) // 2, (width + 1) // 2
        grids.append((height, width))
    return grids


def _looked_up(table: RegionCodes, masks: Tensor) -> Codes:
    return Codes(table.query(masks), table.key(masks))


def _over_time(masks: Tensor) -> Tensor:
    """Eq. 3 between all frames at each place: (n, b, f, h, w) gives (n, b, h, w, f f)."""
    over_time = masks.movedim(2, -1)
    return agreement_bias(over_time, over_time).flatten(-2)


def _product(codes: Codes) -> Tensor:
    return codes.query @ codes.key.mT


def no_autocast(device_type: str) -> AbstractContextManager[Any]:
    """Biases are small differences of large numbers, which autocast would round."""
    if not torch.amp.is_autocast_available(device_type):
        return nullcontext()
    return torch.autocast(device_type, enabled=False)
