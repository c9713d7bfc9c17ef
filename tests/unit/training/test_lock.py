"""One training of a file at a time, and none locked out by one that is dead."""

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import miva_core
from miva_core.errors import MIVAError, MIVAWarning
from miva_core.training.files import check_start, training_folder
from miva_core.training.lock import training_lock

ROOT = Path(miva_core.__file__).parents[1]
HOLDS = """
import sys, time
from pathlib import Path
from miva_core.training.lock import training_lock

with training_lock(Path(sys.argv[1]), Path("a.safetensors")):
    print("held", flush=True)
    time.sleep(100)
"""


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "a.safetensors"


def hold_in_another_process(out: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", HOLDS, str(training_folder(out))]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline() == b"held\n"
    return process


def test_another_process_is_named_and_its_lock_dies_with_it(out: Path) -> None:
    process = hold_in_another_process(out)
    try:
        with pytest.raises(MIVAError, match=rf"a\.safetensors .* process {process.pid} on .*:"):
            check_start(out, resume=False)
        with pytest.raises(MIVAError, match="is being trained by process"):
            check_start(out.with_name("b.safetensors"), resume=False, partner=out)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    assert (training_folder(out) / "process.txt").is_file()  # which the dead one could not remove
    check_start(out, resume=False)
    assert list(out.parent.iterdir()) == []


def test_a_thread_of_the_same_process_is_kept_out_too(out: Path) -> None:
    refusals = []

    def tried() -> None:
        with pytest.raises(MIVAError, match=rf"trained by process {os.getpid()} on") as caught:
            check_start(out, resume=False)
        refusals.append(caught)

    with training_lock(training_folder(out), out):
        tried()
        thread = threading.Thread(target=tried)
        thread.start()
        thread.join(30)
    assert len(refusals) == 2
    check_start(out, resume=False)


def test_what_stands_in_the_holders_file_is_no_text_for_a_message(out: Path) -> None:
    with training_lock(training_folder(out), out):
        for text in ("<b>1</b> on x", "9" * 1000, "", "1 on " + "x" * 99):
            (training_folder(out) / "process.txt").write_text(text)
            with pytest.raises(MIVAError, match="trained by another process"):
                check_start(out, resume=False)


def test_later_processes_of_one_launch_do_not_lock(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with training_lock(training_folder(out), out):
        monkeypatch.setenv("RANK", "1")
        check_start(out, resume=False)


@pytest.fixture
def flock(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int, int], None]], None]:
    """flock(function): has it called where the system is asked for a lock, or to let go of one."""
    fcntl = pytest.importorskip("fcntl", reason="Windows locks otherwise")
    return lambda function: monkeypatch.setattr(fcntl, "flock", function)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_drive_without_locks_is_told_and_used(number: int, out: Path, flock: Callable) -> None:
    def refuse(file: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    flock(refuse)
    with pytest.warns(MIVAWarning, match=r"knows no locks: .* a\.safetensors"):
        check_start(out, resume=False)
    assert list(out.parent.iterdir()) == []


def test_a_lock_of_a_file_that_is_gone_keeps_nobody_out_and_is_not_taken(out: Path, flock: Callable) -> None:
    """One that ends may remove its lock after another has opened it, and before that locks it."""
    import fcntl

    lock, system, locks = training_folder(out) / "lock", fcntl.flock, []

    def end_meanwhile(file: int, operation: int) -> None:
        if not locks:
            lock.unlink()
        locks.append(operation)
        system(file, operation)

    flock(end_meanwhile)
    try:
        with training_lock(training_folder(out), out):
            assert lock.exists()  # a new one
            with pytest.raises(MIVAError, match="is being trained by"):
                check_start(out, resume=False)
    except MIVAError as error:  # some versions of filelock try no second time
        assert "is being trained by another process" in str(error)
    assert locks
    check_start(out, resume=False)


def test_a_lock_that_cannot_be_opened_is_told_and_not_passed_over(out: Path, flock: Callable) -> None:
    (training_folder(out) / "lock").mkdir(parents=True)
    with pytest.raises(MIVAError, match=r"locked: Is a directory\. Remove"):
        check_start(out, resume=False)
    (training_folder(out) / "lock").rmdir()

    def refuse(file: int, operation: int) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    flock(refuse)
    with pytest.raises(MIVAError, match=r"cannot be locked: Operation"):
        check_start(out, resume=False)


def test_a_folder_that_cannot_be_made_is_told(out: Path) -> None:
    training_folder(out).touch()
    with pytest.raises(MIVAError, match=r"a\.training cannot be made"):
        check_start(out, resume=False)
