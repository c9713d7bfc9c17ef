"""Share work among the processes of `accelerate launch`, on one machine or several."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch

from ..errors import MIVAError
from ..training.accelerating import own_state

_PATIENCE = timedelta(days=7)
"""How long processes wait for the slowest one."""

T = TypeVar("T")


class Processes:
    """Those that were launched together; only this one where there was no launcher.

    Attributes:
        index: of this process, from 0.
        count: of all of them.
    """

    def __init__(self, index: int, count: int) -> None:
        self.index, self.count = index, count

    @property
    def is_first(self) -> bool:
        """Whether this is the one that talks."""
        return self.index == 0

    def agreed(self, find: Callable[[], T]) -> T:
        """What the first process finds, in all of them.

        Raises:
            MIVAError: it is refused; also in all of them, since those on other machines would wait for days.
        """
        from accelerate.utils import broadcast_object_list

        found: list[T | Exception | None] = [None]
        if self.is_first:
            try:
                found = [find()]
            except (MIVAError, OSError) as refusal:
                found = [refusal]
        answer = broadcast_object_list(found)[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def share(self, items: Sequence[T]) -> list[T]:
        """The part of the items that this process takes: every n-th of them."""
        return list(items[self.index :: self.count])

    def gathered(self, items: list[T]) -> list[T]:
        """The items of all processes."""
        from accelerate.utils import gather_object

        return gather_object(items)


@contextmanager
def launched_processes(device: torch.device) -> Iterator[Processes]:
    """Join the processes that were launched together, for the time of a block.

    Within it the signal by which a launcher ends its processes interrupts like Ctrl-C, so that what is half done is
    removed.

    Args:
        device: that this one computes on.
    """
    from accelerate import PartialState

    with own_state(), _terminated_as_interrupted():
        state = PartialState(cpu=device.type == "cpu", timeout=_PATIENCE)
        yield Processes(state.process_index, state.num_processes)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: Any = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
