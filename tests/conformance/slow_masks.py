"""Guidance by masks (Eq. 3, S5, S6), pixel by pixel in float64."""

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

EPSILON = 1e-4


def agreement(a: float, b: float) -> float:
    return a * b + (1 - a) * (1 - b) + EPSILON


def cells(size: tuple[int, int], grid: tuple[int, int]) -> list[list[tuple[int, int]]]:
    """The places of the latents' grid in every cell of a coarser one."""
    down, across = size[0] // grid[0], size[1] // grid[1]
    return [
        [(down * y + i, across * x + j) for i in range(down) for j in range(across)]
        for y in range(grid[0])
        for x in range(grid[1])
    ]


def pooled_bias(
    score: Callable[[tuple[int, int], tuple[int, int]], float], size: tuple[int, int], grid: tuple[int, int]
) -> Tensor:
    """The mean of a score of two places over all pairs of two cells."""
    places = cells(size, grid)
    rows = [
        [sum(score(p, q) for p in here for q in there) / (len(here) * len(there)) for there in places]
        for here in places
    ]
    return torch.tensor(rows, dtype=torch.float64)


class Guide:
    """Guidance of one clip by masks (F, h, w), None for an adapter without its own, by name, in the order of layers.

    Biases of the logits of softmax attention; where attention is linear what they are logarithms of, factors of the
    similarities. What is computed once is kept: there are few guides, and all tests share them.
    """

    def __init__(self, masks: dict[str, Tensor | None], linear: bool = False) -> None:
        self._of = float if linear else math.log
        self.linear = linear
        subjects = [mask for mask in masks.values() if mask is not None]
        self.frames, height, width = subjects[0].shape
        self.size = height, width
        self.labels = torch.zeros(self.frames, height, width, dtype=torch.long)
        for f in range(self.frames):
            for y in range(height):
                for x in range(width):
                    values = [mask[f, y, x].item() for mask in subjects]
                    if max(values) > 0.5:
                        self.labels[f, y, x] = 1 + max(j for j, value in enumerate(values) if value == max(values))
        free = (self.labels == 0).double()
        self.masks = {name: free if mask is None else mask.double() for name, mask in masks.items()}

    @cache  # noqa: B019
    def between(self, name: str, frame: int, reference: int, grid: tuple[int, int]) -> Tensor:
        mask = self.masks[name]
        return pooled_bias(
            lambda p, q: self._of(agreement(mask[frame][p].item(), mask[reference][q].item())), self.size, grid
        )

    @cache  # noqa: B019
    def within(self, frame: int, reference: int, grid: tuple[int, int]) -> Tensor:
        labels = self.labels
        return pooled_bias(
            lambda p, q: self._of(float(labels[frame][p] == labels[reference][q]) + EPSILON), self.size, grid
        )

    @cache  # noqa: B019
    def over_time(self, name: str, cell: int, grid: tuple[int, int]) -> Tensor:
        mask, places = self.masks[name], cells(self.size, grid)[cell]
        rows = [
            [
                sum(self._of(agreement(mask[i][p].item(), mask[j][p].item())) for p in places) / len(places)
                for j in range(self.frames)
            ]
            for i in range(self.frames)
        ]
        return torch.tensor(rows, dtype=torch.float64)

    @cache  # noqa: B019
    def gate(self, name: str, frame: int, grid: tuple[int, int]) -> Tensor:
        mask = self.masks[name][frame]
        return torch.tensor(
            [sum(mask[p].item() for p in places) / len(places) for places in cells(self.size, grid)],
            dtype=torch.float64,
        )
