"""Two motions merged into one file, by task arithmetic, DARE and TIES, against both in parallel."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.full_size.tables import header, row
from benchmarks.strength.scores import Trial, shipped
from miva_core import MIVAAdapter, Motion

MOVES = ("pan_left", "zoom_in")
KEPT = 0.3
"""Share of the changes that DARE and TIES keep, as EDG does."""

Merge = Callable[[Tensor], Tensor]
"""Of the changes (motions, …) of one parameter."""


def mean(changes: Tensor) -> Tensor:
    return changes.mean(0)


def total(changes: Tensor) -> Tensor:
    """Task arithmetic."""
    return changes.sum(0)


def dare(changes: Tensor) -> Tensor:
    """Most of each change is dropped by chance, and the rest made larger for it; vectors are left whole."""
    if changes.ndim == 2:
        return total(changes)
    kept = torch.rand(changes.shape, generator=torch.Generator().manual_seed(0)) < KEPT
    return total(changes * kept / KEPT)


def ties(changes: Tensor) -> Tensor:
    """The largest of each change vote for a sign, and those of that sign are averaged."""
    size = changes.flatten(1).abs()
    least = size.quantile(1 - KEPT, dim=1).view(-1, *[1] * (changes.ndim - 1))
    trimmed = torch.where(changes.abs() >= least, changes, 0)
    agreeing = (trimmed.sign() == trimmed.sum(0).sign()) & (trimmed != 0)
    return (trimmed * agreeing).sum(0) / agreeing.sum(0).clamp_min(1)


MERGES: dict[str, Merge] = {
    "averaged": mean,
    "summed (task arithmetic)": total,
    f"DARE {KEPT}, then summed": dare,
    f"TIES {KEPT}": ties,
}


def merging_section(trial: Trial) -> list[str]:
    adapters = [shipped(move, trial.base) for move in MOVES]
    lines = [
        f"{' and '.join(MOVES)}, {len(trial.pictures)} pictures, one seed: the speed of each, 1 being that of its own "
        "ideal clip. What is merged are the changes since the start that both trainings share, which motions of two "
        "people would not.",
        "",
        header("", *MOVES),
    ]
    runs = {
        "in parallel, 0.5 and 0.5": [Motion(adapter, 0.5) for adapter in adapters],
        "in parallel, 1 and 1": [Motion(adapter) for adapter in adapters],
        **{name: [Motion(merged(adapters, merge))] for name, merge in MERGES.items()},
    }
    for name, motions in runs.items():
        speeds = trial.speeds(f"merge_{name.split(' (')[0].replace(' ', '_')}", MOVES, motions)[0].median(0).values
        lines.append(row([name, *(f"{speed:.2f}" for speed in speeds)]))
    return lines


def merged(adapters: list[MIVAAdapter], merge: Merge) -> MIVAAdapter:
    """One adapter with the changes of all."""
    torch.manual_seed(0)  # as every training begins
    made = MIVAAdapter(adapters[0].backbone, adapters[0].config)
    states = [adapter.state_dict() for adapter in adapters]
    start = copy.deepcopy(made.state_dict())
    changes = {name: torch.stack([state[name] - begun for state in states]) for name, begun in start.items()}
    made.load_state_dict({name: begun + merge(changes[name]) for name, begun in start.items()})
    return made
