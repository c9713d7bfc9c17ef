"""One training of a file at a time, and none locked out by one that is dead."""

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import filelock
import pytest

import miva_core
from miva_core.errors import MIVAError, MIVAWarning
from miva_core.training_files import check_start, training_folder
from miva_core.training_lock import training_lock

ROOT = Path(miva_core.__file__).parents[1]
HOLDS = """
import sys, time
from pathlib import Path
from miva_core.training_lock import training_lock

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
        with pytest.raises(MIVAError, match=rf"a\.safetensors is being trained by process {process.pid} on .*: wait"):
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
    told = []

    def tried() -> None:
        with pytest.raises(MIVAError, match=rf"is being trained by process {os.getpid()} on") as caught:
            check_start(out, resume=False)
        told.append(caught)

    with training_lock(training_folder(out), out):
        tried()
        thread = threading.Thread(target=tried)
        thread.start()
        thread.join(30)
    assert len(told) == 2
    check_start(out, resume=False)


def test_what_stands_in_the_holders_file_is_no_text_for_a_message(out: Path) -> None:
    with training_lock(training_folder(out), out):
        for text in ("<b>1</b> on x", "9" * 1000, "", "1 on " + "x" * 99):
            (training_folder(out) / "process.txt").write_text(text)
            with pytest.raises(MIVAError, match="is being trained by another process: wait"):
                check_start(out, resume=False)


def test_later_processes_of_one_launch_do_not_lock(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with training_lock(training_folder(out), out):
        monkeypatch.setenv("RANK", "1")
        check_start(out, resume=False)


def test_a_drive_without_locks_is_told_and_used(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: filelock.FileLock, timeout: float) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    with pytest.warns(MIVAWarning, match=r"knows no locks: take care not to train a\.safetensors twice at once"):
        check_start(out, resume=False)
    assert list(out.parent.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(out: Path) -> None:
    training_folder(out).touch()
    with pytest.raises(MIVAError, match=r"The folder .*a\.training cannot be made: File exists"):
        check_start(out, resume=False)
