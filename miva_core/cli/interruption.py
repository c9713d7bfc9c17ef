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
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    # What `nohup` or a script has set to be ignored stays so.
    before = {number: handler for number, handler in handlers.items() if handler not in (signal.SIG_IGN, None)}

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()
        print("\nFinishing this step, then saving. A second stop ends at once, without saving what is new.")
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, ask)
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
