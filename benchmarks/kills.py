"""Is a training that is killed at any moment and resumed, bit for bit, the one that was left in peace?

    python -m benchmarks.kills [--kills 50] [--out benchmarks/results]

Trains the built-in base on three drawn clips by the command line, in few steps with frequent checkpoints, samples and
all. Each time it is killed without warning (SIGKILL) somewhere between its start and its end, resumed, and its adapter
file compared with that of an uninterrupted run. Then a shorter one is killed right before and right after each of its
files takes its place. Its report must be there in the end, and nothing that it does not leave otherwise.
"""

import argparse
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path

from benchmarks import forked

_LEFT = r"checkpoint\.safetensors|loss\.png|report\.html|samples_\d+\.png|tensorboard"
"""What a training leaves in its folder."""


@dataclass(frozen=True)
class Training:
    """A short training by the command line.

    Attributes:
        clips: folder of drawn clips.
        steps: in all.
        save_every: steps between checkpoints.
    """

    clips: Path
    steps: int = 12
    save_every: int = 2

    def start(self, out: Path, resume: bool, moment: int | None = None) -> BaseProcess:
        """The command, at work on one processor core; what it prints is in `told`.

        Args:
            moment: at which it is killed, see `killed_at`; None leaves it in peace.
        """
        command = ["train", str(self.clips), "--motion", "jump", "--out", str(out), "--device", "cpu"]
        command += ["--steps", str(self.steps), "--batch", "1", "--save-every", str(self.save_every)]
        command += ["--sample-every", str(self.steps // 2), *(["--resume"] if resume else [])]
        return forked.start(_command, command, moment, output=self._told)

    @property
    def told(self) -> str:
        """What the last command has printed."""
        return self._told.read_text("utf-8")

    @property
    def _told(self) -> Path:
        return self.clips.with_name("told.txt")

    def finish(self, out: Path, resume: bool) -> float:
        """Run it to its end; how long that took, in seconds."""
        began = time.perf_counter()
        process = self.start(out, resume)
        process.join(600)
        if process.exitcode or not out.is_file():
            raise RuntimeError(self.told)
        return time.perf_counter() - began

    def killed(self, out: Path, seconds: float) -> bool:
        """Start it and kill it after so long; whether it was still at work."""
        process = self.start(out, resume=False)
        process.join(seconds)
        at_work = process.is_alive()
        process.kill()
        process.join()
        return at_work

    def killed_at(self, out: Path, moment: int) -> bool:
        """Start it, to be killed before (even numbers) or after (odd ones) a file takes its place; whether it got so
        far."""
        process = self.start(out, resume=False, moment=moment)
        process.join(600)
        if process.exitcode not in (0, -signal.SIGKILL):
            raise RuntimeError(self.told)
        return process.exitcode != 0


def _command(arguments: list[str], moment: int | None) -> None:
    """The command line, killed at one of the moments right before and right after a file takes its place."""
    from miva_core.cli.main import main

    if moment is not None:
        passing = _Moments(moment)
        os.link, os.replace = passing.watched(os.link), passing.watched(os.replace)
    sys.exit(main(arguments))


class _Moments:
    """Counts moments, and ends the process at one of them."""

    def __init__(self, last: int) -> None:
        self._left = last

    def watched(self, place: Callable[..., None]) -> Callable[..., None]:
        """A function that puts a file into its place, with a moment before and one after it."""

        def run(*paths: str) -> None:
            self._pass()
            place(*paths)
            self._pass()

        return run

    def _pass(self) -> None:
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1


def draw_clips(folder: Path, count: int) -> None:
    # By the same server, whose start is then in no time that is measured.
    process = forked.start(_draw, folder, count, output=folder.with_name("drawn.txt"))
    process.join()
    if process.exitcode:
        raise RuntimeError(folder.with_name("drawn.txt").read_text("utf-8"))


def _draw(folder: Path, count: int) -> None:
    from tools.draw_clips import main

    sys.argv = ["draw_clips", "jump", "--count", str(count), "--out", str(folder)]
    main()


def resume(training: Training, out: Path) -> tuple[bytes, bool]:
    """The adapter file of a training that was killed, resumed where there was a checkpoint; and whether there was one.

    All files are removed.

    Raises:
        RuntimeError: it does not go on, or leaves other files than a training does.
    """
    folder = out.with_suffix(".training")
    had_state = (folder / "checkpoint.safetensors").is_file()
    finished = (folder / "report.html").is_file()
    if not finished:
        training.finish(out, resume=had_state)
    # One that was killed after its report could not remove what says that it is at work.
    at_work = {"lock", "process.txt"} if finished else {"lock"}
    stray = {path.name for path in folder.iterdir() if not re.fullmatch(_LEFT, path.name)} - at_work
    stray |= {path.name for path in out.parent.iterdir() if path.name.startswith(".")}
    if stray or not (folder / "report.html").is_file():
        raise RuntimeError(f"The report is missing, or there are other files: {sorted(stray)}.")
    content = out.read_bytes()
    out.unlink()
    shutil.rmtree(folder)
    return content, had_state and not finished


def kill_at_every_write(training: Training, out: Path) -> tuple[int, int]:
    """How many moments there are right before and after a file takes its place, and after how many of them the training
    ended as if it had not been killed."""
    training.finish(out, resume=False)
    expected, _ = resume(training, out)
    same = moment = 0
    while training.killed_at(out, moment):
        same += resume(training, out)[0] == expected
        moment += 1
        print(f"{same} of {moment} moments", flush=True)
    resume(training, out)
    return moment, same


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    chance = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_clips(folder / "clips", count=3)
        training = Training(folder / "clips")
        out = folder / "killed.safetensors"  # the file's name is the motion's, and so part of the file
        seconds = training.finish(out, resume=False)
        expected, _ = resume(training, out)
        equal = resumed = 0
        for k in range(args.kills):
            training.killed(out, chance.uniform(0, seconds))
            content, had_state = resume(training, out)
            equal += content == expected
            resumed += had_state
            print(f"{k + 1}: {equal} equal, {resumed} had a checkpoint", flush=True)
        moments, same = kill_at_every_write(replace(training, steps=4), out)
    lines = [
        "# Killed trainings",
        "",
        f"{args.kills} trainings of the built-in base ({training.steps} steps, a checkpoint every "
        f"{training.save_every}) were killed by SIGKILL at random moments of the {seconds:.0f} seconds that one took, "
        f"and run again: {resumed} went on from a checkpoint, the others had been killed before the first one or after "
        f"the end. {equal} of {args.kills} adapter files were equal to that of the uninterrupted run, byte for byte.",
        "",
        f"Shorter ones (4 steps) were killed at each of the {moments} moments right before and after a file takes its "
        f"place: {same} adapter files were equal. Every one of all these trainings had its report in the end, and none "
        "left a temporary file.",
    ]
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "kills.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
