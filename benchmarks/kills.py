"""Is a training that is killed at a random moment and resumed, bit for bit, the one that was left in peace?

    python -m benchmarks.kills [--kills 50] [--out benchmarks/results]

Trains the built-in base on three drawn clips by the command line, in few steps with frequent checkpoints, samples and
all. Each time it is killed without warning (SIGKILL) somewhere between its start and its end, resumed, and its adapter
file compared with that of an uninterrupted run.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Training:
    """A short training by the command line.

    Attributes:
        clips: folder of drawn clips. steps: in all. save_every: between checkpoints.
    """

    clips: Path
    steps: int = 12
    save_every: int = 2

    def start(self, out: Path, resume: bool) -> subprocess.Popen:
        """The command, at work on one processor core."""
        command = [sys.executable, "-m", "miva_core", "train", str(self.clips), "--motion", "jump", "--out", str(out)]
        command += ["--steps", str(self.steps), "--batch", "1", "--save-every", str(self.save_every)]
        command += ["--sample-every", str(self.steps // 2), *(["--resume"] if resume else [])]
        # One thread: on more, sums may be taken in another order.
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def finish(self, out: Path, resume: bool) -> float:
        """Run it to its end; how long that took, in seconds."""
        began = time.perf_counter()
        process = self.start(out, resume)
        told, _ = process.communicate(timeout=600)
        if process.returncode or not out.is_file():
            raise RuntimeError(told)
        return time.perf_counter() - began

    def killed(self, out: Path, seconds: float) -> bool:
        """Start it and kill it after so long; whether it was still at work."""
        process = self.start(out, resume=False)
        try:
            process.communicate(timeout=seconds)
            return False
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return True


def draw_clips(folder: Path, count: int) -> None:
    command = [sys.executable, "-m", "tools.draw_clips", "jump", "--count", str(count), "--out", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True)


def kill_and_resume(training: Training, folder: Path, seconds: float) -> tuple[bytes, bool]:
    """The adapter file of a training that was killed after so long and resumed where there was a checkpoint; and
    whether there was one."""
    out = folder / "killed.safetensors"
    state = out.with_suffix(".training") / "checkpoint.safetensors"
    had_state = False
    if training.killed(out, seconds) and not out.exists():
        had_state = state.is_file()
        training.finish(out, resume=had_state)
    content = out.read_bytes()
    out.unlink()
    shutil.rmtree(out.with_suffix(".training"))
    return content, had_state


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
        whole = folder / "killed.safetensors"  # the file's name is the motion's, and so part of the file
        seconds = training.finish(whole, resume=False)
        expected = whole.read_bytes()
        whole.unlink()
        shutil.rmtree(whole.with_suffix(".training"))
        equal = resumed = 0
        for k in range(args.kills):
            content, had_state = kill_and_resume(training, folder, chance.uniform(0, seconds))
            equal += content == expected
            resumed += had_state
            print(f"{k + 1}: {equal} equal, {resumed} had a checkpoint", flush=True)
    lines = [
        "# Killed trainings",
        "",
        f"{args.kills} trainings of the built-in base ({training.steps} steps, a checkpoint every "
        f"{training.save_every}) were killed by SIGKILL at random moments of the {seconds:.0f} seconds that one took, "
        f"and run again: {resumed} went on from a checkpoint, the others had been killed before the first one or after "
        f"the end. {equal} of {args.kills} adapter files were equal to that of the uninterrupted run, byte for byte.",
    ]
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "kills.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
