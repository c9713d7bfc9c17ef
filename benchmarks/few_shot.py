"""How many clips does a subject motion need, and how many steps?

    python -m benchmarks.few_shot --work FOLDER [--pictures 40] [--seeds 3] [--out benchmarks/results]

Trains the built-in base on a jump by the command anybody has: on 1 to 100 drawn clips, and in 40 to 300 steps on
20 of them. Adapters that are in FOLDER already are taken as they are; all takes about an hour on one core. Pictures and
measures are those of `tiny_quality`, clips as the network paints them, by the latent route. Writes few_shot.md and
few_shot.png.
"""

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from matplotlib.figure import Figure

from benchmarks.tiny_quality import (
    AS_PAINTED,
    Ideal,
    Row,
    held_out_pictures,
    run,
    score_subject,
    subject_ideal,
    summary,
)
from miva_core import MIVAAdapter, Motion, load_base
from miva_core.training.files import training_folder
from miva_core.training.loop import CHECKPOINT

CLIPS = (1, 3, 10, 30, 100)
STEPS = (40, 75, 150, 300)
USUAL_CLIPS, USUAL_STEPS = 20, 300


@dataclass(frozen=True)
class Trial:
    """A training on so many clips in so many steps."""

    clips: int
    steps: int

    def file(self, folder: Path) -> Path:
        """The adapter, trained if it is not there."""
        path = folder / f"jump_{self.clips}_clips_{self.steps}_steps.safetensors"
        clips = folder / f"{self.clips}_clips"
        if not path.exists():
            if not clips.exists():
                draw_clips(self.clips, clips)
            command = ["miva_core", "train", str(clips), "--motion", "jump", "--out", str(path)]
            begun = ["--resume"] if (training_folder(path) / CHECKPOINT).is_file() else []
            subprocess.run([sys.executable, "-m", *command, "--steps", str(self.steps), *begun], check=True)
        return path


def draw_clips(count: int, folder: Path) -> None:
    """So many clips of a jump; the folder is there once all are."""
    with TemporaryDirectory(dir=folder.parent) as parent:
        made = Path(parent) / "clips"
        command = ["tools.draw_clips", "jump", "--count", str(count), "--out", str(made)]
        subprocess.run([sys.executable, "-m", *command], check=True)
        made.rename(folder)


def scored(trial: Trial, folder: Path, ideal: Ideal, seeds: int) -> Row:
    base = load_base("tiny")
    adapter = MIVAAdapter.load(trial.file(folder), base.backbone)
    row = Row(f"{trial.clips} clips, {trial.steps} steps")
    for seed in range(seeds):
        score_subject(row, run(base, ideal.frames[:, 0], [Motion(adapter)], seed, base.noise), ideal)
    return row


def plot(rows: dict[Trial, Row], path: Path) -> None:
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for k, (label, trials) in enumerate(
        (
            (f"clips ({USUAL_STEPS} steps)", [Trial(n, USUAL_STEPS) for n in CLIPS]),
            (f"steps ({USUAL_CLIPS} clips)", [Trial(USUAL_CLIPS, n) for n in STEPS]),
        )
    ):
        axes = figure.add_subplot(1, 2, k + 1, xlabel=label, ylim=(0, 1.3))
        places = [(trial.clips, trial.steps)[k] for trial in trials]
        for name, value in (
            ("right direction, share of pictures", lambda s: s.direction),
            ("speed / ideal speed, median", lambda s: s.ratio),
            ("background / subject flow, median", lambda s: s.background),
        ):
            axes.plot(places, [value(summary(rows[trial])) for trial in trials], "o-", label=name)
        axes.set_xscale("log")
        axes.set_xticks(places, map(str, places))
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="upper right")
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the trained adapters")
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    args.out.mkdir(parents=True, exist_ok=True)
    base = load_base("tiny")
    ideal = subject_ideal(held_out_pictures(args.pictures), "jump", base)
    trials = [Trial(n, USUAL_STEPS) for n in CLIPS] + [Trial(USUAL_CLIPS, n) for n in STEPS]
    rows = {}
    lines = [
        "# Clips and steps",
        "",
        f"The jump of the built-in base, on {args.pictures} held-out pictures, {args.seeds} seeds, one training each; "
        f"{AS_PAINTED}.",
        "",
        "| clips | steps | right direction | median speed ratio | background / subject flow, median "
        "| PSNR above the static copy at frame 4, dB |",
        "|---|---|---|---|---|---|",
    ]
    for trial in trials:
        rows[trial] = scored(trial, args.work, ideal, args.seeds)
        values = summary(rows[trial])
        lines.append(
            f"| {trial.clips} | {trial.steps} | {values.direction:.0%} | {values.ratio:.2f} "
            f"| {values.background:.2f} | {values.gains[1]:+.1f} |"
        )
        print(lines[-1], flush=True)
    plot(rows, args.out / "few_shot.png")
    lines += ["", "![the same as curves](few_shot.png)"]
    (args.out / "few_shot.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
