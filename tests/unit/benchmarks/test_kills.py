"""A training killed at some moments and resumed; `benchmarks/kills.py` does so at many."""

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.kills import Training, draw_clips, resume


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Training:
    clips = tmp_path_factory.mktemp("kills") / "clips"
    draw_clips(clips, count=1)
    return Training(clips, steps=6)


@pytest.fixture(scope="module")
def whole(training: Training, tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, float]:
    """The adapter file of an uninterrupted run, and how long that took."""
    out = tmp_path_factory.mktemp("whole") / "killed.safetensors"
    seconds = training.finish(out, resume=False)
    assert (out.with_suffix(".training") / "report.html").is_file()
    return out.read_bytes(), seconds


@pytest.mark.parametrize("share", [0.7, 0.9])
def test_a_killed_training_ends_as_if_it_had_not_been(
    share: float, training: Training, whole: tuple[bytes, float], tmp_path: Path
) -> None:
    expected, seconds = whole
    training.killed(tmp_path / "killed.safetensors", share * seconds)
    assert resume(training, tmp_path / "killed.safetensors")[0] == expected
    assert list(tmp_path.iterdir()) == []


def test_what_was_being_written_when_it_was_killed_is_removed(training: Training, tmp_path: Path) -> None:
    training, out = replace(training, steps=2), tmp_path / "killed.safetensors"
    assert training.killed_at(out, moment=0)  # the first file, an encoded clip, is written but not in its place
    (left,) = (path for path in tmp_path.rglob(".*"))
    assert left.parent.name == "encoded"
    _, had_state = resume(training, out)
    assert not had_state and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_step_saves_and_says_how_to_go_on(
    number: signal.Signals, training: Training, whole: tuple[bytes, float], tmp_path: Path
) -> None:
    out = tmp_path / "killed.safetensors"
    folder = out.with_suffix(".training")
    process = training.start(out, resume=False)
    deadline = time.monotonic() + 120
    while not (folder / "checkpoint.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.pid is not None
    os.kill(process.pid, number)
    process.join(120)
    output = training.told
    assert process.exitcode == 130 and "go on by the same command and --resume" in output, output
    assert "Traceback" not in output and not out.exists()
    assert not [path for path in folder.rglob(".*")]
    training.finish(out, resume=True)
    assert out.read_bytes() == whole[0]
