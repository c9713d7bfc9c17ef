"""One model serves one thread at a time: the others wait for their turn."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any
from weakref import WeakKeyDictionary

_PATIENCE = 0.5
"""Seconds after which a waiting thread looks whether the one before it is still alive."""


class Turn:
    """The right to change and run a model, until `release` or the end of the with block. Made by `take_turn`."""

    def __init__(self, line: _Line) -> None:
        self.thread = threading.current_thread()
        self._line = line

    def release(self) -> None:
        """Give it to the next thread. Any thread may do so, and a second call does nothing."""
        self._line.leave(self)

    def __enter__(self) -> Turn:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()


class _Line:
    """The threads that want one model, first come, first served."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[Turn] = deque()
        self._held: list[Turn] = []

    def enter(self) -> Turn:
        turn = Turn(self)
        with self._changed:
            self._waiting.append(turn)
            try:
                while not self._may_go(turn):
                    self._changed.wait(_PATIENCE)
                self._held.append(turn)
            finally:
                self._waiting.remove(turn)
                self._changed.notify_all()
        return turn

    def leave(self, turn: Turn) -> None:
        with self._changed:
            if turn in self._held:
                self._held.remove(turn)
                self._changed.notify_all()

    def _may_go(self, turn: Turn) -> bool:
        if self._held and self._held[0].thread is turn.thread:
            return True
        if self._held and not self._held[0].thread.is_alive():
            self._held.clear()
        return not self._held and self._waiting[0] is turn


_lines: WeakKeyDictionary[Any, _Line] = WeakKeyDictionary()
_lines_lock = threading.Lock()


def take_turn(model: Any) -> Turn:
    """Wait until no other thread works with a model, and keep others from it.

    A thread that has a turn gets further ones at once; the model is free when all of them are released. A thread that
    ended without releasing its own holds up nobody.

    Args:
        model: one object, whatever shares its weights apart.
    """
    with _lines_lock:
        line = _lines.setdefault(model, _Line())
    return line.enter()
