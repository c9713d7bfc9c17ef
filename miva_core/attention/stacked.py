"""The parameters of several adapters of equal shape, stacked, so that each step is one product for all of them.

Shapes: n adapters, d channels, r rank. Matrices are (n, out, in) and vectors (n, d); what the adapters' config leaves
out is None. Output maps lie side by side in memory, as (out, n, in), which lets `fan_in` multiply by all of them
without a copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from ..adapters.layers import CrossFrame, Delta, Gate, Prompt, Temporal


@dataclass(frozen=True)
class Deltas:
    """Learned changes of matrices, see `Delta`: down (n, r, d) or None, up (n, d, r) or (n, d, d)."""

    down: Tensor | None
    up: Tensor

    @classmethod
    def of_inputs(cls, deltas: Sequence[Delta]) -> Deltas:
        """Of maps that an attention begins with."""
        return cls(_optional(delta.down for delta in deltas), _stack(delta.up for delta in deltas))

    @classmethod
    def of_outputs(cls, deltas: Sequence[Delta]) -> Deltas:
        """Of maps that an attention ends with, whose results are summed."""
        return cls(_optional(delta.down for delta in deltas), _side_by_side(delta.up for delta in deltas))


@dataclass(frozen=True)
class CrossFrames:
    """Cross-frame attention at one site, see `CrossFrame`: biases (n, d) or None."""

    q: Deltas
    q_bias: Tensor | None
    out: Deltas
    bias: Tensor | None

    @classmethod
    def of(cls, branches: Sequence[CrossFrame]) -> CrossFrames:
        """Those of n adapters."""
        return cls(
            Deltas.of_inputs([branch.q for branch in branches]),
            _optional(branch.q_bias for branch in branches),
            Deltas.of_outputs([branch.out for branch in branches]),
            _optional(branch.bias for branch in branches),
        )


@dataclass(frozen=True)
class Gates:
    """φ, see `Gate`: weight (n, 2, d_t), bias (n, 2) or None."""

    weight: Tensor
    bias: Tensor | None

    @classmethod
    def of(cls, gates: Sequence[Gate]) -> Gates:
        """Those of n adapters."""
        return cls(_stack(gate.weight for gate in gates), _optional(gate.bias for gate in gates))


@dataclass(frozen=True)
class Prompts:
    """Implicit prompts, see `Prompt`.

    Shapes: first (n, r, d), norm_weight and norm_bias (n, r) or None, second (n, d, r), degree (n, 2, 2, r) or None.
    """

    first: Tensor
    norm_weight: Tensor | None
    norm_bias: Tensor | None
    second: Tensor
    degree: Tensor | None

    @classmethod
    def of(cls, prompts: Sequence[Prompt]) -> Prompts:
        """Those of n adapters."""
        return cls(
            _stack(prompt.first for prompt in prompts),
            _optional(prompt.norm_weight for prompt in prompts),
            _optional(prompt.norm_bias for prompt in prompts),
            _side_by_side(prompt.second for prompt in prompts),
            _optional(prompt.degree for prompt in prompts),
        )


@dataclass(frozen=True)
class Temporals:
    """LoRA on one temporal self-attention, see `Temporal`.

    Shapes: down (3 n, r, d) and up (3 n, d, r) hold the queries' of all adapters, then the keys', then the values';
    words (n, d, `WORD_WIDTH`) or None.
    """

    down: Tensor
    up: Tensor
    out: Deltas
    words: Tensor | None

    @classmethod
    def of(cls, sites: Sequence[Temporal]) -> Temporals:
        """Those of n adapters."""
        deltas = [getattr(site, name) for name in ("q", "k", "v") for site in sites]
        return cls(
            _stack(delta.down for delta in deltas),
            _stack(delta.up for delta in deltas),
            Deltas.of_outputs([site.out for site in sites]),
            _optional(site.words for site in sites),
        )


STACKS: dict[str, Any] = {
    "cfa": CrossFrames,
    "cfa_mask": CrossFrames,
    "gate": Gates,
    "ca": Prompts,
    "ta": Temporals,
}
"""What the parts of an adapter become, by the part's name."""


def frozen(stack: Any, dtype: torch.dtype, device: torch.device) -> Any:
    """The same parameters without gradients, as they are computed with.

    Args:
        stack: one of the classes above.
        dtype: that attention computes in. Gates and what hears a degree are computed with in their own.
        device: where the model is.
    """
    if stack is None:
        return None
    if isinstance(stack, Tensor):
        return stack.detach().to(device, dtype)
    return type(stack)(*(_frozen_part(stack, field.name, dtype, device) for field in fields(stack)))


def _frozen_part(stack: Any, name: str, dtype: torch.dtype, device: torch.device) -> Any:
    part = getattr(stack, name)
    in_its_own = part is not None and (isinstance(stack, Gates) or name == "degree")
    return frozen(part, part.dtype if in_its_own else dtype, device)


def _stack(parameters: Iterable[Tensor], dim: int = 0) -> Tensor:
    first, *others = parameters
    # Where memory is short, a program that manages it may have left some of them elsewhere.
    return torch.stack([first, *(other.to(first.device) for other in others)], dim)


def _side_by_side(parameters: Iterable[Tensor]) -> Tensor:
    return _stack(parameters, dim=1).movedim(1, 0)


def _optional(parameters: Iterable[Tensor | None]) -> Tensor | None:
    """A parameter that all of the adapters have, or none, since their config is the same."""
    present = [parameter for parameter in parameters if parameter is not None]
    return _stack(present) if present else None
