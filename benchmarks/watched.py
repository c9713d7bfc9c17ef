"""Work in a process of its own that may crash, hang or take all memory, which then counts as its outcome."""

import multiprocessing
import signal
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

Door = Callable[[Path], None]
"""What is done with a file; it raises what it will."""


class Outcome(NamedTuple):
    """How the work on one file ended.

    Attributes:
        kind: "fine", "sentence" (a MIVAError), "traceback" (any other exception), "crash", "hang" or "memory".
        text: the message, the end of the traceback, or the signal.
    """

    kind: str
    text: str = ""


class Watched:
    """A door in a process of its own, which is started anew after a crash, a hang or a feast.

    Args:
        prepare: makes the door in that process; it must be importable.
        seconds: after which a file counts as a hang.
        megabytes: by which a file may make the process grow; about eight times as many end it.
    """

    def __init__(self, prepare: Callable[[], Door], seconds: float = 30, megabytes: int = 500) -> None:
        self._prepare, self._seconds, self._megabytes = prepare, seconds, megabytes
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None

    def run(self, path: Path) -> Outcome:
        """What becomes of one file."""
        if self._process is None:
            self._start()
        self._pipe.send(path)
        if not self._pipe.poll(self._seconds):
            self.stop()
            return Outcome("hang", f"no end after {self._seconds:g} s")
        try:
            outcome, grown = self._pipe.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            code = self._process.exitcode
            self.stop()
            return Outcome("crash", signal.Signals(-code).name if code < 0 else f"exit code {code}")
        if grown > self._megabytes:
            self.stop()
            return Outcome("memory", f"{grown} MB more; {outcome.kind}: {outcome.text}")
        return outcome

    def stop(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
        self._process = self._pipe = None

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._prepare, self._megabytes), daemon=True)
        self._process.start()
        theirs.close()
        if self._pipe.recv() != "ready":
            raise RuntimeError("The process did not come up.")


def _serve(pipe: Connection, prepare: Callable[[], Door], megabytes: int) -> None:
    import resource

    door = prepare()
    size = int(_status("VmSize")) * 1024 + 8 * megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    pipe.send("ready")
    while True:
        path = pipe.recv()
        _forget_peak()
        before = _status("VmRSS")
        outcome = _enter(door, path)
        pipe.send((outcome, (_status("VmHWM") - before) // 1024))


def _enter(door: Door, path: Path) -> Outcome:
    import traceback

    from miva_core.errors import MIVAError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            door(path)
        return Outcome("fine")
    except MIVAError as error:
        return Outcome("sentence", str(error))
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return Outcome("traceback", f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})")


def _status(entry: str) -> int:
    """Of this process, in kB: VmRSS, its memory now, or VmHWM, the most it has been."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{entry}:"))


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")
