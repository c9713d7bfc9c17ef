"""Ctrl-C, SIGTERM and a closed terminal, told to a loop that finishes its step first."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Windows knows no SIGHUP.
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def interruption() -> Iterator[Callable[[], bool]]:
    """Gives a function that tells whether to stop. A second signal acts as it always does.

    Outside the main thread, where Python allows no handlers, it never tells so.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()
        print(
            "\nFinishing this step, then saving. Stopped once more, what came after the last checkpoint is lost; "
            "--resume goes on from there."
        )
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, ask)
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
