"""Turn Ctrl-C, SIGTERM and a closed terminal into a question that a loop asks after each step."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Windows has no SIGHUP.
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def interruption() -> Iterator[Callable[[], bool]]:
    """Handle signals that ask to stop, within a block; a second one acts as it does by default.

    Yields:
        A function that returns whether to stop. Outside the main thread, where Python allows no handlers, it never
        does.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop.is_set
        return
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    # Signals that `nohup` or a script has set to be ignored stay so.
    previous = {number: handler for number, handler in handlers.items() if handler not in (signal.SIG_IGN, None)}

    def handle(number: int, frame: FrameType | None) -> None:
        stop.set()
        print("\nFinishing this step, then saving. A second stop ends at once, without saving what is new.")
        signal.signal(number, previous[number])

    for number in previous:
        signal.signal(number, handle)
    try:
        yield stop.is_set
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
