"""Checkpoints of what is learnt, in half precision."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor


def save_halves(path: Path, averages: Sequence[Tensor], names: Iterable[str]) -> None:
    """Write averaged weights in half precision, whole or not at all.

    Args:
        path: the file.
        averages: of each weight that is learnt.
        names: of these weights, in the same order.
    """
    halves = {name: average.half() for name, average in zip(names, averages, strict=True)}
    torch.save(halves, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").replace(path)
