"""Signals become a question that a loop asks; what is to be ignored stays ignored."""

import os
import signal
from collections.abc import Iterator

import pytest

from miva_core.cli.interruption import interruption


@pytest.fixture
def hang_up() -> Iterator[int]:
    """The signal of a closed terminal, whose handler is put back."""
    if not hasattr(signal, "SIGHUP"):
        pytest.skip("Windows knows no SIGHUP")
    before = signal.getsignal(signal.SIGHUP)
    yield signal.SIGHUP
    signal.signal(signal.SIGHUP, before)


def test_a_closed_terminal_asks_to_stop(hang_up: int) -> None:
    signal.signal(hang_up, signal.SIG_DFL)
    with interruption() as asked:
        os.kill(os.getpid(), hang_up)
        assert asked()


def test_nohup_outlasts_the_terminal(hang_up: int) -> None:
    signal.signal(hang_up, signal.SIG_IGN)
    with interruption() as asked:
        os.kill(os.getpid(), hang_up)
        assert not asked()
    assert signal.getsignal(hang_up) == signal.SIG_IGN
