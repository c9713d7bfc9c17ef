"""Precisions that devices train in, and Accelerate for the time of one training, without a trace afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import torch

from ..errors import MIVAError
from .options import Precision

if TYPE_CHECKING:
    from accelerate import Accelerator

_PATIENCE = timedelta(hours=3)
"""How long processes wait for the first one, which makes the validation clips."""


def check_precision(precision: Precision, device: torch.device) -> None:
    """Check that a device trains in a precision.

    Args:
        precision: what the model is to compute in.
        device: where it is.

    Raises:
        MIVAError: it does not.
    """
    if precision == "fp16" and device.type == "cpu":
        raise MIVAError("A processor does not train in fp16: take fp32, or bf16 where it has units for it.")


def mixed_precision(precision: Precision, dtype: torch.dtype) -> Literal["bf16", "fp16"] | None:
    """What Accelerate is to have a model compute in, or None where it does so by itself.

    Args:
        precision: what the model is to compute in.
        dtype: of its weights.
    """
    if precision == "fp32" or (precision == "bf16" and dtype == torch.bfloat16):
        return None
    return precision


@contextmanager
def own_accelerator(device: torch.device, mixed: Literal["bf16", "fp16"] | None) -> Iterator["Accelerator"]:
    """An accelerator that moves nothing to a device by itself, see `own_state`.

    Args:
        device: where the model is.
        mixed: what the model computes in, where that is not the dtype of its weights.
    """
    from accelerate import Accelerator, InitProcessGroupKwargs

    with own_state():
        yield Accelerator(
            device_placement=False,
            cpu=device.type == "cpu",
            mixed_precision=mixed or "no",
            kwargs_handlers=[InitProcessGroupKwargs(timeout=_PATIENCE)],
        )


@contextmanager
def own_state() -> Iterator[None]:
    """Let Accelerate be used within a block, without a trace afterwards.

    What it keeps for the whole process, of which a program around this one may have its own, is put back, and a group
    of processes that was made is left.
    """
    from accelerate.state import AcceleratorState, GradientState, PartialState

    kept = {state: dict(state._shared_state) for state in (AcceleratorState, PartialState, GradientState)}
    joined = torch.distributed.is_initialized()
    AcceleratorState._shared_state.clear()
    try:
        yield
    finally:
        if not joined and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        for state, before in kept.items():
            state._shared_state.clear()
            state._shared_state.update(before)
